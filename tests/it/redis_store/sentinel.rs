//! The mode `sentinel`: failovers, and what the Sentinels are believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloakroom::grpc::wire::Changes;
use cloakroom::store::{Handle, Redis, RedisSettings, SentinelSettings, Store as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::counters::{Counters, Found, check_all_done, compare};
use super::failovers::{Failovers, Goals, are_judged, rounds};
use super::{TIMEOUT, problem, until};
use crate::process::child::eventually;
use crate::support::authority::{CertificateAuthority, replace};
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::ports::free_port;
use crate::support::proxy::Proxy;
use crate::support::sentinel::{SERVICE, SentinelService, Server, settings};
use crate::support::{TestService, app_settings, long_timeouts};

async fn service_on(settings: RedisSettings) -> TestService {
    let store = Handle::from(Redis::new(&RedisSettings { timeout: TIMEOUT, ..settings }).unwrap());
    TestService::on_store(store, [("default", app_settings())], long_timeouts()).await
}

/// Saves on and on, each in a session of its own, until it is stopped.
pub(super) struct Writers {
    service: Arc<TestService>,
    stop: Arc<AtomicBool>,
    /// How often each has succeeded.
    successes: Vec<Arc<AtomicU64>>,
    tasks: JoinSet<Written>,
}

/// What one writer has seen.
struct Written {
    token: String,
    acknowledged: u64,
}

impl Writers {
    pub(super) async fn start(service: &Arc<TestService>, count: usize) -> Self {
        let (stop, mut tasks) = (Arc::<AtomicBool>::default(), JoinSet::new());
        let successes: Vec<Arc<AtomicU64>> = (0..count).map(|_| Arc::default()).collect();
        for successes in &successes {
            let (token, mut client) = (until_saved(service).await, service.another_client().await);
            let (stop, successes) = (Arc::clone(&stop), Arc::clone(successes));
            tasks.spawn(async move {
                let mut acknowledged = 0;
                for n in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if client.save_session(save(&token, Changes::default().set("n", &n.to_string()))).await.is_ok() {
                        acknowledged = n;
                        successes.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Written { token, acknowledged }
            });
        }
        Self { service: Arc::clone(service), stop, successes, tasks }
    }

    /// Waits until each of them has begun a save and succeeded with it.
    pub(super) async fn all_succeed(&self) {
        let count = |successes: &Arc<AtomicU64>| successes.load(Ordering::Relaxed);
        let before: Vec<u64> = self.successes.iter().map(count).collect();
        until("saves of all", async || self.successes.iter().zip(&before).all(|(now, before)| count(now) > before + 1))
            .await;
    }

    /// How many saves of all of them have succeeded.
    pub(super) fn acknowledged(&self) -> u64 {
        self.successes.iter().map(|successes| successes.load(Ordering::Relaxed)).sum()
    }

    /// Stops them. Later saves cannot hide then that one is lost.
    pub(super) async fn stop(self) -> Stopped {
        self.stop.store(true, Ordering::Relaxed);
        Stopped { service: self.service, written: self.tasks.join_all().await }
    }
}

/// What the writers have seen before they were stopped.
pub(super) struct Stopped {
    service: Arc<TestService>,
    written: Vec<Written>,
}

impl Stopped {
    /// Returns how many saves were acknowledged, and how many of them are not stored.
    pub(super) async fn count_lost(&self) -> (u64, u64) {
        let (mut all, mut lost) = (0, 0);
        for Written { token, acknowledged } in &self.written {
            let open = || open_cookie(&format!("session={token}"));
            until("an open", async || self.service.try_open(open()).await.is_ok()).await;
            let stored = self.service.entries(token).await["n"].parse().unwrap();
            all += acknowledged;
            lost += acknowledged.saturating_sub(stored);
        }
        (all, lost)
    }
}

/// Waits until a session can be stored, with the entry `n`. Returns its token.
pub(super) async fn until_saved(service: &TestService) -> String {
    let ticket = service.open_new().await.token;
    let save = || save(&ticket, Changes::default().set("n", "0"));
    let saved = eventually("a save", async || service.try_save(save()).await.ok()).await;
    saved.session.unwrap().token
}

#[tokio::test]
async fn a_primary_that_is_killed_is_replaced_within_seconds() {
    let mut failovers = Failovers::default();
    for _ in 0..rounds() {
        let redis = SentinelService::start().await;
        let service = Arc::new(service_on(redis.settings()).await);
        let counters = Counters::start(&service, 16).await;
        counters.until_incremented(|_| true).await;

        redis.servers[0].redis.signal("-KILL");
        let ready = until_ready(&redis, &service).await;
        counters.until_incremented(|_| true).await;

        add(&mut failovers, &service, counters, ready).await;
    }
    failovers.judge("a primary with Sentinels is killed", Goals { gap: Duration::from_millis(3500), ..GOALS });
}

#[tokio::test]
async fn a_primary_that_hung_and_came_back_takes_no_acknowledged_write_with_it() {
    let mut failovers = Failovers::default();
    for _ in 0..rounds() {
        let redis = SentinelService::start().await;
        let service = Arc::new(service_on(redis.settings()).await);
        let counters = Counters::start(&service, 64).await;
        counters.until_incremented(|_| true).await;

        redis.servers[0].redis.signal("-STOP");
        let stopped = Instant::now();
        let ready = until_ready(&redis, &service).await;
        sleep(Duration::from_secs(6).saturating_sub(stopped.elapsed())).await;
        redis.servers[0].redis.signal("-CONT");
        until("the demotion", async || !redis.servers[0].is_primary()).await;
        counters.until_incremented(|_| true).await;

        assert!(redis.servers[1].is_primary());
        add(&mut failovers, &service, counters, ready).await;
    }
    failovers.judge("a primary with Sentinels hangs for 6 s", GOALS);
}

#[tokio::test]
async fn sentinels_that_are_all_down_fail_no_write() {
    let mut failovers = Failovers::default();
    for _ in 0..rounds() {
        let mut redis = SentinelService::start().await;
        let timeout = Duration::from_secs(60);
        let store = Handle::from(Redis::new(&RedisSettings { timeout, ..redis.settings() }).unwrap());
        let service = Arc::new(TestService::on_store(store, [("default", app_settings())], long_timeouts()).await);
        let counters = Counters::start(&service, 16).await;
        counters.until_incremented(|_| true).await;

        redis.sentinels.clear();
        let begin = Instant::now();
        // They are asked once a second.
        while begin.elapsed() < Duration::from_secs(3) {
            counters.until_incremented(|_| true).await;
        }

        let counters = counters.stop().await;
        check_all_done(&service, &counters).await;
        failovers.add(&counters, |_| true, Found::default(), Duration::ZERO);
    }
    failovers.judge("all Sentinels are down, the primary is up", Goals { errors: 0, ..GOALS });
}

/// Waits until the replica is promoted, and then until a session can be stored. Returns how long that took.
async fn until_ready(redis: &SentinelService, service: &TestService) -> Duration {
    until("the promotion", async || redis.names(&redis.servers[1])).await;
    let promoted = Instant::now();
    until_saved(service).await;
    promoted.elapsed()
}

/// Stops the counters, checks that nothing that was acknowledged is lost, and adds the round.
async fn add(failovers: &mut Failovers, service: &TestService, counters: Counters, ready: Duration) {
    let counters = counters.stop().await;
    let found = compare(service, &counters).await;
    assert!(are_judged() || (found.lost, found.twice) == (0, 0), "{found:?}");
    failovers.add(&counters, |_| true, found, ready);
}

#[tokio::test]
async fn a_failover_by_hand_moves_the_service() {
    let redis = SentinelService::start().await;
    let store = Redis::new(&redis.settings()).unwrap();
    store.ping().await.unwrap();

    assert_eq!(redis.sentinels[0].redis.cli(&["sentinel", "failover", SERVICE]), "OK\n");

    until("the new primary", async || {
        let _ = store.ping().await;
        redis.servers[1].is_primary() && has_writes(&redis.servers[1])
    })
    .await;
}

#[tokio::test]
async fn a_primary_that_works_is_left_only_if_the_majority_names_another() {
    let (before, after) = (Server::redis(""), Server::redis(""));
    let sentinels = [0; 3].map(|_| Server::sentinel(before.port, 2, ""));
    // It counts the requests of the store alone.
    let proxy = Proxy::start(sentinels[0].redis.socket()).await;
    let mut settings = settings(&sentinels);
    settings.sentinel.urls[0] = proxy.url();
    let store = Redis::new(&settings).unwrap();
    let watch_the_other = |sentinel: &Server| {
        let monitor = ["sentinel", "monitor", SERVICE, "127.0.0.1", &after.port.to_string(), "2"];
        assert_eq!(sentinel.redis.cli(&["sentinel", "remove", SERVICE]), "OK\n");
        assert_eq!(sentinel.redis.cli(&monitor), "OK\n");
    };
    store.ping().await.unwrap();

    watch_the_other(&sentinels[0]);
    let so_far = proxy.accepted();
    until("two requests", async || proxy.accepted() >= so_far + 2).await;
    store.ping().await.unwrap();
    assert!(has_writes(&before) && !has_writes(&after), "one of three is no majority");

    watch_the_other(&sentinels[1]);
    until("the other primary", async || {
        store.ping().await.unwrap();
        has_writes(&after)
    })
    .await;
}

/// Whether the service's check of health has written to it. What it writes is nothing.
pub(super) fn has_writes(server: &Server) -> bool {
    server.redis.cli(&["info", "commandstats"]).contains("cmdstat_set:")
}

#[tokio::test]
async fn without_any_sentinel_the_last_primary_is_used_on() {
    let mut redis = SentinelService::start().await;
    let service = service_on(redis.settings()).await;
    let token = service.stored(&[("a", "0")]).await;

    redis.sentinels.clear();
    for round in 1..5 {
        service.save(save(&token, Changes::default().set("a", &round.to_string()))).await;
        redis.servers[0].redis.cli(&["client", "kill", "type", "normal"]);
        let clients = || redis.servers[0].redis.cli(&["client", "list", "type", "normal"]);
        // One worker has a connection at least, and this request is one.
        until("a new connection", async || clients().lines().count() > 1).await;
    }
    assert_eq!(service.entries(&token).await["a"], "4");
}

#[tokio::test]
async fn a_sentinel_that_hangs_is_not_waited_for_once_the_others_agree() {
    let redis = SentinelService::start().await;
    redis.sentinels[0].redis.signal("-STOP");
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..redis.settings() }).unwrap();

    // One Sentinel may take a quarter of the store's timeout.
    let answered = timeout(Duration::from_secs(10), store.ping()).await;
    redis.sentinels[0].redis.signal("-CONT");

    answered.expect("it does not wait for the one that hangs").unwrap();
}

#[tokio::test]
async fn a_replica_is_no_primary_whatever_a_sentinel_says() {
    let primary = Server::redis("");
    let replica = Server::redis(&format!("--replicaof 127.0.0.1 {}", primary.port));
    let sentinel = Server::sentinel(replica.port, 2, "");

    let problem = problem(&settings(&[sentinel])).await;

    let address = format!("127.0.0.1:{}", replica.port);
    assert!(problem.contains(&address) && problem.contains("it is no primary"), "{problem}");
}

#[tokio::test]
async fn the_log_says_what_is_wrong_with_sentinels() {
    let primary = Server::redis("");
    let sentinel = Server::sentinel(primary.port, 1, "");
    let port = sentinel.port;
    let with = |urls: &[&String], name: &str| {
        let urls = urls.iter().map(|url| (*url).clone()).collect();
        let sentinel = SentinelSettings { urls, service_name: name.to_owned(), ..Default::default() };
        RedisSettings { sentinel, ..settings(&[]) }
    };
    let [nobody, one] = [free_port(), port].map(|port| format!("redis://127.0.0.1:{port}"));

    let down = problem(&with(&[&nobody], SERVICE)).await;
    let unknown = problem(&with(&[&one], "another")).await;
    let one_is_down = Redis::new(&with(&[&nobody, &one], SERVICE)).unwrap();
    one_is_down.ping().await.unwrap();
    primary.redis.cli(&["acl", "setuser", "default", "-role"]);
    let without_role = problem(&settings(&[sentinel])).await;

    assert!(down.contains("no Sentinel answers") && down.contains("Connection refused"), "{down}");
    assert!(without_role.contains("NOPERM") && without_role.contains("role"), "{without_role}");
    assert!(unknown.contains("Redis at another: no Sentinel knows a service of this name"), "{unknown}");
}

#[tokio::test]
async fn sentinels_have_tls_and_a_user_of_their_own() {
    let primary = Server::redis("");
    let (authority, folder) = (CertificateAuthority::new(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    authority.sign("localhost").write(&path("server.pem"), &path("server.key"));
    authority.sign("cloakroom").write(&path("client.pem"), &path("client.key"));
    authority.write(&path("ca.pem"));
    replace(&path("password"), "secret\n");
    let tls_port = free_port();
    let folder = folder.path().display();
    let _sentinel = Server::sentinel(
        primary.port,
        1,
        &format!(
            "tls-port {tls_port}\ntls-cert-file {folder}/server.pem\ntls-key-file {folder}/server.key\n\
             tls-ca-cert-file {folder}/ca.pem\n\
             user cloakroom on >secret +sentinel|get-master-addr-by-name\n"
        ),
    );
    let of_sentinel = SentinelSettings {
        urls: vec![format!("rediss://localhost:{tls_port}")],
        service_name: SERVICE.to_owned(),
        username: Some("cloakroom".to_owned()),
        password_file: Some(path("password")),
        ca_file: Some(path("ca.pem")),
        certificate_file: Some(path("client.pem")),
        key_file: Some(path("client.key")),
    };
    let settings = RedisSettings { sentinel: of_sentinel, ..settings(&[]) };

    Redis::new(&settings).unwrap().ping().await.unwrap();

    replace(&path("password"), "wrong\n");
    let wrong = problem(&settings).await;
    assert!(wrong.contains("no Sentinel answers") && wrong.contains("WRONGPASS"), "{wrong}");
}

#[tokio::test]
async fn many_connections_ask_the_sentinels_once() {
    let primary = Server::redis("");
    let sentinels = [Server::sentinel(primary.port, 1, "")];
    let settings = RedisSettings { connections: CONNECTIONS, ..settings(&sentinels) };
    let store = Redis::new(&settings).unwrap();
    let clients = || primary.redis.cli(&["client", "list", "type", "normal"]).matches("cmd=").count();
    let all_connected = async || {
        // Each operation takes the next connection.
        for _ in 0..CONNECTIONS {
            store.ping().await.unwrap();
        }
        clients() > CONNECTIONS
    };
    until("all connections", all_connected).await;
    let before = asked(&sentinels[0]);
    let begin = Instant::now();

    primary.redis.cli(&["client", "kill", "type", "normal"]);
    until("all connections", async || clients() > CONNECTIONS).await;

    let (requests, seconds) = (asked(&sentinels[0]) - before, begin.elapsed().as_secs());
    // A connection that is closed later than the others asks anew. Besides, it is asked once a second.
    assert!(requests < CONNECTIONS as u64 / 2 + 2 * seconds, "{requests} requests in {seconds} s");
}

/// How many questions for the primary a scripted Sentinel has got.
#[derive(Default)]
struct Questions {
    all: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// Answers a connection to a Sentinel that names this server as the primary, with a delay.
async fn answer_slowly(stream: TcpStream, primary: u16, questions: Arc<Questions>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    while reader.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        let answer = match std::mem::take(&mut line).trim_end() {
            "PING" => "+PONG\r\n".to_owned(),
            "GET-MASTER-ADDR-BY-NAME" => {
                questions.all.fetch_add(1, Ordering::Relaxed);
                let open = questions.open.fetch_add(1, Ordering::Relaxed) + 1;
                questions.most_open.fetch_max(open, Ordering::Relaxed);
                // The length and the text of the service's name.
                for _ in 0..2 {
                    drop(reader.read_line(&mut line).await);
                }
                line.clear();
                // A question that is given up is not open any more.
                let _ = timeout(ANSWER_DELAY, reader.fill_buf()).await;
                questions.open.fetch_sub(1, Ordering::Relaxed);
                let port = primary.to_string();
                format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len())
            }
            _ => continue,
        };
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn the_sentinels_get_one_question_at_a_time() {
    let primary = Server::redis("");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = RedisSettings { connections: CONNECTIONS, timeout: Duration::from_secs(60), ..settings(&[]) };
    settings.sentinel.urls = vec![format!("redis://{}", listener.local_addr().unwrap())];
    let (questions, port) = (Arc::<Questions>::default(), primary.port);
    let mut serving = JoinSet::new();
    serving.spawn({
        let questions = Arc::clone(&questions);
        async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer_slowly(stream, port, Arc::clone(&questions)));
            }
        }
    });
    let store = Redis::new(&settings).unwrap();
    // Each operation takes the next connection.
    let connect_all = async || {
        let pings = (0..CONNECTIONS).map(|_| store.ping());
        futures_util::future::join_all(pings).await.into_iter().for_each(|pinged| pinged.unwrap());
    };
    connect_all().await;

    for _ in 0..5 {
        let before = questions.all.load(Ordering::Relaxed);
        primary.redis.cli(&["client", "kill", "type", "normal"]);
        until("a question", async || questions.all.load(Ordering::Relaxed) > before).await;
        until("all connections", async || store.ping().await.is_ok()).await;
    }

    assert_eq!(questions.most_open.load(Ordering::Relaxed), 1);
}

/// How often a Sentinel has been asked for the primary. The `redis-cli` calls of a test count as well.
fn asked(sentinel: &Server) -> u64 {
    let stats = sentinel.redis.cli(&["info", "stats"]);
    let value = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    value.trim().parse().unwrap()
}

/// What a failover may do at most, with `down-after-milliseconds 1000`.
const GOALS: Goals = Goals { gap: Duration::from_secs(5), ready: Duration::from_secs(1), errors: i64::MAX };

const CONNECTIONS: usize = 32;

/// How long a scripted Sentinel takes for an answer: long enough for a second question to arrive meanwhile.
const ANSWER_DELAY: Duration = Duration::from_millis(20);
