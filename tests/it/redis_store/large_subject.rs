//! A subject with far more sessions than one command of Redis should touch. `CLOAKROOM_TEST_SUBJECT_SESSIONS` sets how
//! many.
//!
//! One of them is real, and the others are entries of the index alone, as they are left when sessions expire.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::grpc::wire::ListSessionsRequest;
use cloakroom::store::{Handle, Redis, RedisSettings};

use super::until;
use crate::support::calls::open_cookie;
use crate::support::environment::number;
use crate::support::redis::RedisServer;
use crate::support::{TestService, app_settings, long_timeouts};

/// Opens one session again and again while something else happens. Returns how often, and the longest time.
async fn opens_during<T>(
    service: &Arc<TestService>,
    token: &str,
    what: impl Future<Output = T>,
) -> (T, usize, Duration) {
    let is_over = Arc::new(AtomicBool::new(false));
    let (stop, mut client, header) = (Arc::clone(&is_over), service.another_client().await, format!("session={token}"));
    let opens = tokio::spawn(async move {
        let (mut count, mut longest) = (0, Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let begin = Instant::now();
            assert!(!client.open_session(open_cookie(&header)).await.unwrap().into_inner().session.unwrap().new);
            (count, longest) = (count + 1, longest.max(begin.elapsed()));
        }
        (count, longest)
    });
    let result = what.await;
    is_over.store(true, Ordering::Relaxed);
    let (count, longest) = opens.await.unwrap();
    (result, count, longest)
}

/// Adds entries to the index, with the times of the one that is there.
fn fill(redis: &RedisServer, sessions: u64) {
    let keys = redis.keys();
    let index = keys.iter().find(|key| key.ends_with(":subject")).expect("the subject has an index");
    let script = "local times = redis.call('HVALS', KEYS[1])[1]
        for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
            redis.call('HSET', KEYS[1], struct.pack('>I4I4I8', n * 2654435761 % 4294967296, 0, n), times)
        end";
    for first in (1..=sessions).step_by(10_000) {
        let last = sessions.min(first + 9_999);
        redis.cli(&["eval", script, "1", index, &first.to_string(), &last.to_string()]);
    }
    assert_eq!(redis.cli(&["hlen", index]), format!("{}\n", sessions + 1));
}

/// The longest time that one command took Redis since the last look, without those of this file.
fn slowest(redis: &RedisServer) -> Duration {
    let script = "local slowest = 0
        for _, entry in ipairs(redis.call('SLOWLOG', 'GET', '-1')) do
            if entry[4][1] ~= 'eval' then slowest = math.max(slowest, entry[3]) end
        end
        redis.call('SLOWLOG', 'RESET')
        return slowest";
    Duration::from_micros(redis.cli(&["eval", script, "0"]).trim().parse().unwrap())
}

/// All commands that Redis does, also in scripts, as `redis-cli monitor` prints them.
struct Monitor {
    cli: Child,
    folder: tempfile::TempDir,
}

impl Monitor {
    async fn start(redis: &RedisServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("commands")).unwrap();
        let mut cli = Command::new("redis-cli");
        cli.arg("-s").arg(redis.socket()).arg("monitor").stdin(Stdio::null()).stdout(file);
        let monitor = Self { cli: cli.spawn().unwrap(), folder };
        until("the monitor", async || monitor.text().starts_with("OK\n")).await;
        monitor
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("commands")).unwrap()
    }

    /// Returns all commands from its start until now, one on each line.
    async fn commands(&self, redis: &RedisServer) -> Vec<String> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let last = format!("\"last {}\"", LAST.fetch_add(1, Ordering::Relaxed));
        redis.cli(&["echo", last.trim_matches('"')]);
        until("the last command", async || self.text().contains(&last)).await;
        self.text().lines().map(str::to_owned).collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.cli.kill();
        let _ = self.cli.wait();
    }
}

/// Checks that none of these commands reads more of an index than a page.
fn assert_reads_in_pages(commands: &[String]) {
    let on_index: Vec<&String> = commands.iter().filter(|command| command.contains(INDEX)).collect();
    assert!(on_index.iter().any(|command| command.contains(HSCAN)), "{on_index:?}");
    for command in on_index {
        // A script names the index, and its commands follow.
        let is_small = [" \"EVALSHA\" ", " \"HLEN\" ", " \"HGET\" ", " \"HDEL\" ", " \"HSET\" ", " \"PEXPIRETIME\" "];
        let is_page = command.contains(HSCAN) && command.ends_with(PAGE);
        assert!(is_page || is_small.iter().any(|name| command.contains(name)), "{command}");
    }
}

/// Whether this session was read between two pages of an index.
fn is_opened_between_pages(id: &str, commands: &[String]) -> bool {
    let is_page = |command: &String| command.contains(HSCAN) && command.contains(INDEX);
    let pages: Vec<usize> = (0..commands.len()).filter(|at| is_page(&commands[*at])).collect();
    let end = format!(":{id}\"");
    let opens = |between: &[String]| between.iter().any(|command| command.ends_with(&end));
    pages.windows(2).any(|pages| opens(&commands[pages[0]..pages[1]]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_a_large_subject_are_listed_and_revoked_in_pages() {
    let sessions = number("CLOAKROOM_TEST_SUBJECT_SESSIONS").unwrap_or(10_000);
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let service = Arc::new(TestService::on_store(store, [("default", app_settings())], long_timeouts()).await);
    let (other, real) = (service.stored(&[("a", "1")]).await, service.logged_in("anna").await);
    let other_id = service.session(&other).await.id;
    fill(&redis, sessions);
    redis.cli(&["config", "set", "slowlog-max-len", "100000"]);
    redis.cli(&["config", "set", "slowlog-log-slower-than", "500"]);
    slowest(&redis);

    let nothing = tokio::time::sleep(Duration::from_secs(1));
    let ((), opens, longest) = opens_during(&service, &other, nothing).await;
    println!("nothing else: {opens} opens, the longest {longest:?}; Redis at most {:?}", slowest(&redis));

    let monitor = Monitor::start(&redis).await;
    let list = async || {
        let (mut listed, mut page_token, begin) = (Vec::new(), String::new(), Instant::now());
        loop {
            let request = ListSessionsRequest { subject: "anna".to_owned(), page_token, ..Default::default() };
            let page = service.try_list(request).await.unwrap();
            listed.extend(page.sessions.into_iter().map(|session| session.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return (listed, begin.elapsed());
            }
        }
    };
    let ((listed, took), opens, longest) = opens_during(&service, &other, list()).await;
    println!("a listing in {took:?}: {opens} opens, the longest {longest:?}; Redis at most {:?}", slowest(&redis));
    assert_eq!(listed, [real.id]);
    let pages = redis.calls("hscan");
    assert!(pages >= sessions / 4096, "{pages} pages");
    assert_reads_in_pages(&monitor.commands(&redis).await);
    drop(monitor);
    // One listing may end before another call is served, so there may be several.
    until("an open between two pages", async || {
        let monitor = Monitor::start(&redis).await;
        opens_during(&service, &other, list()).await;
        is_opened_between_pages(&other_id, &monitor.commands(&redis).await)
    })
    .await;

    let (pages, monitor) = (redis.calls("hscan"), Monitor::start(&redis).await);
    let revoke = async {
        let begin = Instant::now();
        (service.revoke_subject("anna", "").await, begin.elapsed())
    };
    let ((revoked, took), opens, longest) = opens_during(&service, &other, revoke).await;
    println!("a revocation in {took:?}: {opens} opens, the longest {longest:?}; Redis at most {:?}", slowest(&redis));
    assert_eq!(revoked, 1);
    assert!(!service.is_live(&real.token).await);
    assert!(redis.calls("hscan") >= pages + sessions / 4096);
    assert_reads_in_pages(&monitor.commands(&redis).await);
}

/// How the key of an index ends, how a page of it is read, and the end of that command.
const INDEX: &str = ":subject\"";
const HSCAN: &str = " \"HSCAN\" ";
const PAGE: &str = " \"COUNT\" \"2048\"";
