//! Moves of all sessions to another store while they are in use: nobody is logged out, and no write is lost or doubled.

use std::process::{Command, Stdio};
use std::time::Duration;

use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, MigrateStoreRequest, OpenSessionRequest, RevokeSubjectRequest,
    destroy_session_request,
};
use cloakroom::store::{Acknowledge, Redis, RedisSettings};
use cloakroom::token::Key;
use tokio::task::block_in_place;

use super::child::{Process, eventually, with_timeout};
use super::load::{Load, Restart};
use crate::cli::program::{Ended, Program};
use crate::conformance::fixtures;
use crate::support::calls::{ChangesExt as _, json_entries, open_cookie, save};
use crate::support::cluster::{Cluster, KeySpace};
use crate::support::redis::RedisServer;
use crate::support::sentinel::{SERVICE, SentinelService};
use crate::support::watches::session_key;

/// A session as it was before the move.
#[derive(Debug)]
struct Before {
    cookie: String,
    id: String,
    etag: String,
    /// What its entry `n` is.
    n: String,
}

const APP: &str = "[apps.default]\nkeys_file = \"keys\"\n[server]\ncall_timeout = \"60s\"\n";

fn redis_table(table: &str, redis: &RedisServer, prefix: &str, partitions: u32) -> String {
    format!(
        "[{table}]\nkind = \"redis\"\n[{table}.redis]\nurl = \"{}\"\nkey_prefix = \"{prefix}\"\ntimeout = \"30s\"\n\
         partitions = {partitions}\n",
        redis.url()
    )
}

fn cluster_table(table: &str, settings: &RedisSettings) -> String {
    let RedisSettings { url, key_prefix, acknowledge, .. } = settings;
    format!(
        "[{table}]\nkind = \"redis\"\n[{table}.redis]\nmode = \"cluster\"\nurl = \"{url}\"\n\
         key_prefix = \"{key_prefix}\"\ntimeout = \"30s\"\nacknowledge = \"{acknowledge}\"\n"
    )
}

fn sentinel_table(table: &str, redis: &SentinelService, acknowledge: &str) -> String {
    let RedisSettings { sentinel, .. } = redis.settings();
    format!(
        "[{table}]\nkind = \"redis\"\n[{table}.redis]\nmode = \"sentinel\"\nkey_prefix = \"failover\"\ntimeout = \"30s\"\n\
         acknowledge = \"{acknowledge}\"\n[{table}.redis.sentinel]\nurls = {:?}\nservice_name = \"{SERVICE}\"\n",
        sentinel.urls
    )
}

async fn create(process: &Process, number: usize, subject: &str) -> Before {
    let mut client = process.client();
    let new = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap();
    let changes = Changes::default().set("n", &number.to_string());
    let changes = if subject.is_empty() { changes } else { changes.subject(subject) };
    let saved = client.save_session(save(&new.token, changes)).await.unwrap().into_inner().session.unwrap();
    Before { cookie: saved.token, id: saved.id, etag: saved.etag, n: number.to_string() }
}

/// Whether the session lives; panics if it is not what it was.
async fn lives(process: &Process, before: &Before) -> bool {
    let request = open_cookie(&format!("session={}", before.cookie));
    let session = process.client().open_session(request).await.unwrap().into_inner().session.unwrap();
    if session.new {
        return false;
    }
    assert_eq!((&session.id, &session.etag), (&before.id, &before.etag));
    assert_eq!(json_entries(session).get("n"), Some(&before.n));
    true
}

async fn log_out(process: &Process, session: &Before) {
    let credential = Some(destroy_session_request::Credential::Token(session.cookie.clone()));
    let request = DestroySessionRequest { credential, ..Default::default() };
    process.client().destroy_session(request).await.unwrap();
}

/// Returns how many sessions that has ended.
async fn revoke_anna(process: &Process) -> usize {
    let revoke = RevokeSubjectRequest { subject: "anna".to_owned(), ..Default::default() };
    process.admin().revoke_subject(revoke).await.unwrap().into_inner().revoked as usize
}

/// Runs `cloakroom store migrate` against a process.
async fn migrate(process: &Process, arguments: &[&str]) -> Ended {
    let address = process.admin_address().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command.args(["store", "migrate", "--address", &address, "--timeout", "60s"]).args(arguments).env_clear();
    let run = move || command.stdin(Stdio::null()).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

async fn restart(process: &mut Process, config: &str, signal: &str) {
    process.replace("cloakroom.toml", config);
    process.signal(signal);
    process.await_exit().await;
    process.start_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_move_from_the_file_to_redis_while_they_are_in_use() {
    let (redis, key) = (RedisServer::start(), Key::generate());
    let file = format!("[store]\nkind = \"embedded\"\n{APP}");
    let to_redis = redis_table("store", &redis, "moved", 1024);
    let both = format!("{to_redis}[store.previous]\nkind = \"embedded\"\n{APP}");
    let mut process = Process::start(&file, &[("keys", &key)], &[]).await;
    let mut before = Vec::new();
    for number in 0..SESSIONS {
        before.push(create(&process, number, if number % 10 == 0 { "anna" } else { "" }).await);
    }
    let load = Load::start([&process, &process], CALLERS, Restart::Kill);
    load.await_calls(CALLS).await;

    let unset = migrate(&process, &[]).await;
    assert!(unset.code == Some(1) && unset.stderr.contains("(NO_PREVIOUS_STORE)"), "{unset:?}");
    restart(&mut process, &both, "-TERM").await;
    load.await_calls(CALLS).await;

    let size = redis.cli(&["dbsize"]);
    let dry = migrate(&process, &["--dry-run"]).await;
    assert!(dry.stderr.starts_with("counting: 0 % of about "), "{dry:?}");
    assert!(dry.code == Some(0) && dry.stderr.contains(" live sessions would move"), "{dry:?}");
    assert_eq!(redis.cli(&["dbsize"]), size, "a dry run writes nothing");

    // The process ends in the middle of a move.
    let mut moved = process.admin().migrate_store(MigrateStoreRequest::default()).await.unwrap().into_inner();
    while with_timeout(moved.message()).await.unwrap().is_some_and(|response| response.live_count == 0) {}
    restart(&mut process, &both, "-KILL").await;
    let (ended, living) = before.split_at(10);
    for session in &ended[1..5] {
        log_out(&process, session).await;
    }
    let again = migrate(&process, &[]).await;
    assert!(again.code == Some(0) && again.stderr.contains("nothing is left to move"), "{again:?}");
    for session in &ended[5..10] {
        log_out(&process, session).await;
    }
    load.await_calls(CALLS).await;

    restart(&mut process, &format!("{to_redis}{APP}"), "-TERM").await;
    load.await_calls(CALLS).await;
    load.stop().await;
    assert!(lives(&process, &ended[0]).await);
    for session in &ended[1..] {
        assert!(!lives(&process, session).await, "a session that has ended lives: {session:?}");
    }
    for session in living {
        assert!(lives(&process, session).await, "a session is lost: {session:?}");
    }
    assert_eq!(revoke_anna(&process).await, SESSIONS / 10, "the index has all sessions of the subject");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_know_the_store_of_a_moved_session_says_so_in_its_log() {
    let ([old, new], key) = ([RedisServer::start(), RedisServer::start()], Key::generate());
    let app = format!("{APP}[log]\nformat = \"json\"\n");
    let old_alone = format!("{}{app}", redis_table("store", &old, "old", 64));
    let both =
        format!("{}{}{app}", redis_table("store", &new, "new", 64), redis_table("store.previous", &old, "old", 64));
    let mut process = Process::start(&old_alone, &[("keys", &key)], &[]).await;
    let (opened, saved) = (create(&process, 1, "").await, create(&process, 2, "").await);
    restart(&mut process, &both, "-TERM").await;
    assert_eq!(migrate(&process, &[]).await.code, Some(0));

    for session in [opened, saved] {
        restart(&mut process, &old_alone, "-TERM").await;
        if session.n == "1" {
            assert!(!lives(&process, &session).await);
        } else {
            let change = save(&session.cookie, Changes::default().set("n", "3"));
            assert!(process.client().save_session(change).await.unwrap().into_inner().session.is_none());
        }

        let line = process.await_log_line("moved to another store").await;
        assert_eq!((&line["level"], &line["app"]), (&"ERROR".into(), &"default".into()));
        assert_eq!(line["session.id"], session.id.as_str());
    }
}

/// Returns the keys of all sessions in a Redis.
fn session_keys(redis: &RedisServer, prefix: &str) -> Vec<String> {
    let keys = redis.cli(&["--raw", "keys", &format!("{prefix}:*:default:{}", "?".repeat(32))]);
    keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_tells_the_true_numbers_of_what_moves_and_of_what_stays() {
    let ([old, new], key) = ([RedisServer::start(), RedisServer::start()], Key::generate());
    let (from, to) = (redis_table("store", &old, "old", 64), redis_table("store", &new, "new", 64));
    // Revocations of subjects are kept as long as sessions may come from another application.
    let app = format!(
        "{APP}[apps.default.migrate]\nuntil = '2100-01-01'\n[apps.default.migrate.flask_cookie]\nkeys = ['secret']\n"
    );
    let both = format!("{to}{}{app}", redis_table("store.previous", &old, "old", 64));
    let mut process = Process::start(&format!("{from}{app}"), &[("keys", &key)], &[]).await;
    let create_all = async |count: usize, subject: &str| {
        let mut sessions = Vec::new();
        for number in 0..count {
            sessions.push(create(&process, number, subject).await);
        }
        sessions
    };
    let live = create_all(90, "bob").await;
    let (logged_out, revoked) = (create_all(7, "").await, create_all(5, "anna").await);
    let [expired, corrupt, duplicate] = [create_all(4, "").await, create_all(3, "").await, create_all(2, "").await];
    for session in &logged_out {
        log_out(&process, session).await;
    }
    assert_eq!(revoke_anna(&process).await, revoked.len());
    let of_nobody = RevokeSubjectRequest { subject: "carol".to_owned(), ..Default::default() };
    process.admin().revoke_subject(of_nobody).await.unwrap();
    process.signal("-TERM");
    process.await_exit().await;
    let set = |sessions: &[Before], field: &str, bytes: &str| {
        let script = format!("return redis.call('HSET', KEYS[1], '{field}', {bytes})");
        for Before { id, .. } in sessions {
            let keys = session_keys(&old, "old");
            let key = keys.iter().find(|key| key.ends_with(id)).expect("the session is in the old store");
            assert_eq!(old.cli(&["eval", &script, "1", key]), "0\n", "the field is there");
        }
    };
    // They were used last in 1970.
    set(&expired, "u", "string.char(0, 0, 0, 0, 0, 0, 0, 1)");
    set(&corrupt, "m", "'no session'");
    let settings = RedisSettings { url: new.url(), key_prefix: "new".to_owned(), ..Default::default() };
    let store = Redis::new(&settings).unwrap();
    for Before { id, .. } in &duplicate {
        fixtures::create(&store, session_key(id), &fixtures::record()).await;
    }
    process.replace("cloakroom.toml", &both);
    process.start_again().await;

    let stay = "3 sessions stay in the previous store: their bytes are no session, so nobody can open them\n\
                2 sessions stay in the previous store: the present store has other sessions of their ids\n";
    let dry = migrate(&process, &["--dry-run"]).await;
    let would = format!("90 live sessions would move, 12 ended ones, 2 revocations; 4 had expired\n{stay}");
    assert!(dry.code == Some(65) && dry.stderr.ends_with(&would), "{dry:?}");
    assert_eq!(session_keys(&new, "new").len(), duplicate.len());

    let lost = "nothing else is left to move; they are lost when [store.previous] is removed\n";
    let moved = migrate(&process, &[]).await;
    assert!(moved.stderr.starts_with("moving: 0 % of about 111, 0 moved\n"), "{moved:?}");
    let has = format!("90 live sessions moved, 12 ended ones, 2 revocations; 4 had expired\n{stay}{lost}");
    assert!(moved.code == Some(65) && moved.stderr.ends_with(&has), "{moved:?}");
    let keys = session_keys(&new, "new");
    let is_new = |session: &&Before| keys.iter().any(|key| key.ends_with(&session.id));
    let count = |sessions: &[Before]| sessions.iter().filter(is_new).count();
    assert_eq!([&live, &logged_out, &revoked, &expired, &corrupt, &duplicate].map(|it| count(it)), [90, 7, 5, 0, 0, 2]);

    let again = migrate(&process, &[]).await;
    let nothing = format!("0 live sessions moved, 0 ended ones, 2 revocations; 4 had expired\n{stay}{lost}");
    assert!(again.code == Some(65) && again.stderr.ends_with(&nothing), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_a_bar_with_the_share_the_rate_and_the_time_left() {
    let ([old, new], key) = ([RedisServer::start(), RedisServer::start()], Key::generate());
    let (from, to) = (redis_table("store", &old, "old", 64), redis_table("store", &new, "new", 64));
    let both = format!("{to}{}{APP}", redis_table("store.previous", &old, "old", 64));
    let mut process = Process::start(&format!("{from}{APP}"), &[("keys", &key)], &[]).await;
    for number in 0..SESSIONS {
        create(&process, number, "").await;
    }
    restart(&mut process, &both, "-TERM").await;

    // Nothing more is shown of a move that ends at once, so the first write of this one has to wait.
    assert_eq!(old.cli(&["client", "pause", "60000", "write"]), "OK\n");
    let program = Program::new(&["store", "migrate", "--address", &process.admin_address().to_string()]);
    let run = move || program.run_on_terminal(100);
    let running = tokio::task::spawn_blocking(run);
    eventually("a write", async || (!old.cli(&["info", "clients"]).contains("blocked_clients:0")).then_some(())).await;
    // After the first line the command shows the next one no sooner.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(old.cli(&["client", "unpause"]), "OK\n");
    let (code, printed) = running.await.unwrap();

    let (lines, report) = printed.rsplit_once("\r\u{1b}[K").expect(&printed);
    assert!(code == Some(0) && report.starts_with(&format!("{SESSIONS} live sessions moved, ")), "{printed}");
    let mut lines = lines.split("\r\u{1b}[K").filter(|line| line.starts_with("moving ["));
    assert!(lines.next().expect(&printed).contains("] 0 % of about 200, 0 moved"), "{printed}");
    let line = lines.find(|line| line.contains(" left, ")).expect(&printed);
    for text in [&format!(" % of about {SESSIONS}, "), "/s, ", " left, ", " moved"] {
        assert!(line.contains(text), "{text} is not in {line}");
    }
    assert!(line.contains('#') && line.contains('-') && line.chars().count() < 100, "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_move_sessions_to_more_partitions_by_rolling_restarts() {
    let redis = RedisServer::start();
    let table = |table, prefix, partitions| redis_table(table, &redis, prefix, partitions);
    move_by_rolling_restarts(|name| table(name, "few", 64), |name| table(name, "many", 1024)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_move_sessions_from_one_redis_into_a_cluster_by_rolling_restarts() {
    let (redis, keys) = (RedisServer::start(), KeySpace::new());
    move_by_rolling_restarts(|name| redis_table(name, &redis, "one", 64), |name| cluster_table(name, &keys.settings()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_move_sessions_from_a_cluster_into_one_redis_by_rolling_restarts() {
    let (redis, keys) = (RedisServer::start(), KeySpace::new());
    move_by_rolling_restarts(|name| cluster_table(name, &keys.settings()), |name| redis_table(name, &redis, "one", 64))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_move_sessions_from_one_redis_to_one_with_sentinels_by_rolling_restarts() {
    let (redis, sentinels) = (RedisServer::start(), SentinelService::start().await);
    let new = |name| sentinel_table(name, &sentinels, "primary");
    move_by_rolling_restarts(|name| redis_table(name, &redis, "one", 64), new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_move_sessions_from_a_redis_with_sentinels_into_a_cluster_by_rolling_restarts() {
    let (sentinels, keys) = (SentinelService::start().await, KeySpace::new());
    let old = |name| sentinel_table(name, &sentinels, "primary");
    move_by_rolling_restarts(old, |name| cluster_table(name, &keys.settings())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_missing_after_a_failover_of_the_new_store_in_the_middle_of_a_move() {
    let (redis, sentinels) = (RedisServer::start(), SentinelService::start_with(2).await);
    let primary = &sentinels.servers[0].redis;
    let new = |name| sentinel_table(name, &sentinels, "replicas:1");
    move_through_a_failover((|name| redis_table(name, &redis, "one", 64), &redis), (new, primary), primary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_missing_after_a_failover_of_the_previous_store_in_the_middle_of_a_move() {
    let (redis, sentinels) = (RedisServer::start(), SentinelService::start_with(2).await);
    let primary = &sentinels.servers[0].redis;
    let old = |name| sentinel_table(name, &sentinels, "replicas:1");
    move_through_a_failover((old, primary), (|name| redis_table(name, &redis, "one", 64), &redis), primary).await;
}

/// Starts a cluster that goes on after the failure of a primary, and acknowledges writes as before.
fn cluster_with_replicas() -> (Cluster, RedisSettings) {
    let cluster = Cluster::start_acknowledging(2, Duration::from_secs(5));
    // Not of the first node, which is killed.
    let url = format!("redis://cloakroom:secret@127.0.0.1:{}", cluster.nodes[1].port);
    let settings = RedisSettings { url, acknowledge: Acknowledge::Replicas(1), ..cluster.settings() };
    (cluster, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_missing_after_a_failover_in_the_new_cluster_in_the_middle_of_a_move() {
    let (redis, (cluster, settings)) = (RedisServer::start(), block_in_place(cluster_with_replicas));
    let primary = &cluster.nodes[0].redis;
    let new = |name| cluster_table(name, &settings);
    move_through_a_failover((|name| redis_table(name, &redis, "one", 64), &redis), (new, primary), primary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_missing_after_a_failover_in_the_previous_cluster_in_the_middle_of_a_move() {
    let (redis, (cluster, settings)) = (RedisServer::start(), block_in_place(cluster_with_replicas));
    let primary = &cluster.nodes[0].redis;
    let old = |name| cluster_table(name, &settings);
    move_through_a_failover((old, primary), (|name| redis_table(name, &redis, "one", 64), &redis), primary).await;
}

/// Moves sessions between two stores, each with a function that writes its table, and kills this primary of one of them
/// when the new store has copies of sessions that the old one has not marked yet.
async fn move_through_a_failover(
    (old, old_redis): (impl Fn(&'static str) -> String, &RedisServer),
    (new, new_redis): (impl Fn(&'static str) -> String, &RedisServer),
    primary: &RedisServer,
) {
    let key = Key::generate();
    let mut process = Process::start(&format!("{}{APP}", old("store")), &[("keys", &key)], &[]).await;
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        sessions.push(create(&process, number, "anna").await);
    }
    let load = Load::start([&process, &process], CALLERS, Restart::Kill);
    load.await_calls(CALLS).await;
    restart(&mut process, &format!("{}{}{APP}", new("store"), old("store.previous")), "-TERM").await;
    load.await_calls(CALLS).await;

    let size = || new_redis.cli(&["dbsize"]).trim().parse::<usize>().unwrap();
    let before = size();
    assert_eq!(old_redis.cli(&["client", "pause", "60000", "write"]), "OK\n");
    let kill = async {
        eventually("copies", async || (size() > before + 1).then_some(())).await;
        primary.signal("-KILL");
        // It may be the one that was killed.
        old_redis.cli(&["client", "unpause"]);
    };
    let (mut ended, ()) = tokio::join!(migrate(&process, &[]), kill);
    eventually("a move to the end", async || {
        if ended.code == Some(0) {
            return Some(());
        }
        assert!(ended.code == Some(1) && ended.stderr.contains("goes on if it is run again"), "{ended:?}");
        ended = migrate(&process, &[]).await;
        None
    })
    .await;
    assert!(ended.stderr.contains("nothing is left to move"), "{ended:?}");
    load.await_calls(CALLS).await;

    restart(&mut process, &format!("{}{APP}", new("store")), "-TERM").await;
    load.await_calls(CALLS).await;
    load.stop().await;
    for session in &sessions {
        assert!(lives(&process, session).await, "a session is lost: {session:?}");
    }
    // The replica that is left may not be ready to acknowledge the ends, and a repetition ends the rest.
    let revoke = RevokeSubjectRequest { subject: "anna".to_owned(), ..Default::default() };
    eventually("a revocation", async || process.admin().revoke_subject(revoke.clone()).await.ok()).await;
    for session in &sessions {
        assert!(!lives(&process, session).await, "the index lacks a session of the subject: {session:?}");
    }
}

/// Moves sessions of two replicas between the stores that these functions write the table of.
async fn move_by_rolling_restarts(old: impl Fn(&'static str) -> String, new: impl Fn(&'static str) -> String) {
    let key = Key::generate();
    let before = format!("{}{APP}", old("store"));
    let next = format!("{}{}{APP}", old("store"), new("store.next"));
    let previous = format!("{}{}{APP}", new("store"), old("store.previous"));
    let after = format!("{}{APP}", new("store"));
    let start = async || Process::start(&before, &[("keys", &key)], &[]).await;
    let mut replicas = [start().await, start().await];
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        sessions.push(create(&replicas[number % 2], number, "anna").await);
    }
    let load = Load::start(replicas.each_ref(), CALLERS, Restart::Orderly);

    for config in [&next, &previous, &after] {
        for number in 0..replicas.len() {
            load.await_calls(CALLS).await;
            restart(&mut replicas[number], config, "-TERM").await;
            // One replica creates in the new store now, and the other one in the old store.
            sessions.push(create(&replicas[0], SESSIONS, "anna").await);
            sessions.push(create(&replicas[1], SESSIONS, "anna").await);
            if config == &previous {
                let moved = migrate(&replicas[number], &[]).await;
                let is_complete = moved.stderr.contains("nothing is left to move");
                assert_eq!(moved.code, Some(if is_complete { 0 } else { 65 }), "{moved:?}");
                assert!(number == 0 || is_complete, "{moved:?}");
            }
        }
    }
    load.await_calls(CALLS).await;

    load.stop().await;
    for (number, session) in sessions.iter().enumerate() {
        assert!(lives(&replicas[number % 2], session).await, "a session is lost: {session:?}");
    }
    assert_eq!(revoke_anna(&replicas[0]).await, sessions.len(), "the index has all sessions of the subject");
}

/// More than one page of a move.
const SESSIONS: usize = 200;
const CALLERS: usize = 8;
/// Enough for every caller to meet a change.
const CALLS: u64 = 50;
