//! `acknowledge = "fsync"` on a server that acknowledges a write before its disk has it.

use std::time::Duration;

use cloakroom::store::{Acknowledge, Handle, Redis, RedisSettings, Store as _};
use cloakroom::token::Key;
use cloakroom::types::with_causes;

use super::{problem, until};
use crate::cli::program::Program;
use crate::process::child::Process;
use crate::support::cluster::Cluster;
use crate::support::redis::{RedisServer, documented_rights};
use crate::support::tool::tool;

/// Starts a Valkey with an append-only file, which answers WAITAOF early unless `appendfsync` is `always`.
fn valkey(appendfsync: &str) -> RedisServer {
    start("valkey", appendfsync)
}

fn start(product: &str, appendfsync: &str) -> RedisServer {
    let program = tool("../servers").join(product).join("redis-server");
    RedisServer::start_program(&program, &format!("--appendonly yes --appendfsync {appendfsync}"))
}

fn set(redis: &RedisServer, name: &str, value: &str) {
    assert_eq!(redis.cli(&["config", "set", name, value]), "OK\n");
}

/// How often it was asked for its configuration.
fn commands(redis: &RedisServer) -> u64 {
    let stats = redis.cli(&["info", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_config|get:")).unwrap_or_default();
    let calls = line.split(',').find_map(|field| field.strip_prefix("calls="));
    let refused = line.split(',').find_map(|field| field.strip_prefix("rejected_calls="));
    [calls, refused].into_iter().flatten().map(|count| count.parse::<u64>().unwrap()).sum()
}

/// Returns once it has been asked for its configuration three times more.
async fn await_inspections(redis: &RedisServer) {
    let before = commands(redis);
    until("three inspections", async || commands(redis) >= before + 3).await;
}

async fn serve(url: &str, setting: &str) -> Process {
    let config = format!(
        "[log]\nformat = 'json'\n[apps.default]\nkeys = ['{}']\n[store]\nkind = 'redis'\n[store.redis]\nurl = '{url}'\n\
         timeout = '10s'\n{setting} = 'fsync'\n",
        Key::generate(),
    );
    Process::start(&config, &[], &[]).await
}

/// Returns the URL of a user with the documented rights, that to wait, and these.
fn url_of_user(redis: &RedisServer, more: &[&str]) -> String {
    let user = ["acl", "setuser", "cloakroom", "reset", "on", ">secret", "~cloakroom:*", "+waitaof"];
    assert_eq!(redis.cli(&[&user[..], &documented_rights(), more].concat()), "OK\n");
    format!("{}?user=cloakroom&pass=secret", redis.url())
}

async fn warnings(url: &str) -> Vec<String> {
    let settings = RedisSettings { url: url.to_owned(), acknowledge: Acknowledge::Fsync, ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    store.ping().await.unwrap();
    store.fsync_warnings().await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_service_whose_writes_may_be_lost_says_so_once_and_again_after_a_change() {
    let redis = valkey("everysec");
    let service = serve(&redis.url(), "acknowledge").await;

    let warning = service.await_log_line(EARLY).await;
    await_inspections(&redis).await;
    assert_eq!(service.output().matches(EARLY).count(), 1, "{}", service.output());
    let text = warning["message"].as_str().unwrap();
    assert!(text.starts_with("acknowledge is \"fsync\", but with appendfsync everysec Valkey "), "{text}");
    assert!(text.ends_with("may lose writes that were acknowledged; set appendfsync to always"), "{text}");
    assert_eq!((&warning["level"], warning["address"].as_str()), (&"WARN".into(), redis.socket().to_str()));

    set(&redis, "appendfsync", "always");
    service.await_log_line("the disk has each write that is acknowledged").await;
    set(&redis, "appendfsync", "no");
    service.await_log_line("with appendfsync no Valkey").await;
    set(&redis, "appendfsync", "everysec");
    service.await_output(EARLY, 2).await;
}

#[tokio::test]
async fn a_service_that_may_not_look_says_so_once() {
    let redis = valkey("everysec");
    let service = serve(&url_of_user(&redis, &[]), "acknowledge_endings").await;

    let warning = service.await_log_line("this user may not run CONFIG GET").await;
    await_inspections(&redis).await;

    let text = warning["message"].as_str().unwrap();
    assert!(text.starts_with("acknowledge_endings is ") && text.contains("grant +config|get"), "{text}");
    assert_eq!(service.output().matches("this user may not run CONFIG GET").count(), 1, "{}", service.output());
}

#[tokio::test]
async fn only_what_a_power_loss_may_take_is_told() {
    let (valkey, redis) = (valkey("always"), start("redis", "everysec"));
    assert_eq!(warnings(&valkey.url()).await, [""; 0]);
    assert_eq!(warnings(&url_of_user(&redis, &[])).await, [""; 0], "Redis 8 answers when its disk has the write");

    set(&valkey, "appendfsync", "everysec");
    assert!(warnings(&url_of_user(&valkey, &["+config|get"])).await[0].contains(EARLY));
    let forbidden = warnings(&url_of_user(&valkey, &[])).await;
    assert!(forbidden[0].contains("nobody knows whether appendfsync is always"), "{forbidden:?}");
    set(&redis, "appendfsync", "no");
    let never = warnings(&redis.url()).await;
    assert!(
        never[0].contains("with appendfsync no Redis 8.") && never[0].contains("acknowledges no write"),
        "{never:?}"
    );
}

#[test]
fn check_and_doctor_say_what_may_be_lost() {
    let redis = valkey("everysec");
    let run = |arguments: &[&str]| {
        let program = Program::new(arguments).env("CLOAKROOM__STORE__KIND", "redis");
        let program = program.env("CLOAKROOM__STORE__REDIS__ACKNOWLEDGE", "fsync");
        program.env("CLOAKROOM__STORE__REDIS__URL", &redis.url()).run()
    };

    let (check, doctor) = (run(&["check", "--connect"]), run(&["doctor"]));
    set(&redis, "appendfsync", "always");
    let safe = run(&["check", "--connect"]);
    set(&redis, "appendonly", "no");
    let refused = run(&["check", "--connect"]);

    let warning = format!("warning: Redis at {}: acknowledge is \"fsync\", but", redis.socket().display());
    assert!(check.code == Some(0) && check.stderr.contains(&warning), "{check:?}");
    assert!(check.stderr.contains(EARLY) && check.stderr.contains("set appendfsync to always"), "{check:?}");
    assert!(doctor.stdout.contains(EARLY) && doctor.stdout.contains("do: set appendfsync to always"), "{doctor:?}");
    assert!(safe.code == Some(0) && !safe.stderr.contains("fsync"), "{safe:?}");
    assert!(refused.code == Some(1) && refused.stderr.contains("has no append-only file"), "{refused:?}");
}

#[tokio::test]
async fn a_redis_whose_file_is_switched_off_is_refused_although_nothing_is_written() {
    let redis = valkey("always");
    let settings = RedisSettings { url: redis.url(), acknowledge: Acknowledge::Fsync, ..Default::default() };
    let store = Redis::new(&settings).unwrap();
    store.ping().await.unwrap();

    set(&redis, "appendonly", "no");

    let refusal = async || store.ping().await.is_err_and(|error| with_causes(&error).contains("set appendonly to yes"));
    until("the refusal", refusal).await;
    set(&redis, "appendonly", "yes");
    until("the end of it", async || store.ping().await.is_ok()).await;
    // It does not end before its new file is written.
    let is_written = "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0";
    until("the file", async || redis.cli(&["info", "persistence"]).contains(is_written)).await;
}

/// On Redis 7.0, which has no WAITAOF, the refusal is what is tested.
#[tokio::test]
async fn each_primary_of_a_cluster_is_looked_at() {
    let arguments = |number: usize| format!("--appendonly yes --appendfsync {}", ["always", "everysec"][number % 2]);
    let cluster = Cluster::start_with(3, 0, Duration::from_secs(60), arguments);
    for node in &cluster.nodes {
        node.run(&["acl", "setuser", "cloakroom", "+config|get"]);
        let _ = node.redis.cli(&["acl", "setuser", "cloakroom", "+waitaof"]);
    }
    let settings = RedisSettings { acknowledge: Acknowledge::Fsync, ..cluster.settings() };
    if !cluster.nodes[0].redis.cli(&["command", "info", "waitaof"]).contains("waitaof") {
        assert!(problem(&settings).await.contains("has no WAITAOF"));
        return;
    }
    let store = Handle::from(Redis::new(&settings).unwrap());
    store.ping().await.unwrap();

    let warnings = store.fsync_warnings().await.unwrap();

    let warned: Vec<&str> = warnings.iter().map(|warning| &*warning.address).collect();
    let info = cluster.nodes[0].redis.cli(&["info", "server"]);
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")?.split('.').next()?.parse().ok());
    // That of Valkey is 7.
    let is_redis_8 = version.unwrap_or(0) >= 8;
    let second = format!("127.0.0.1:{}", cluster.nodes[1].port);
    // From 8 on it syncs before it answers (redis/redis#13793).
    assert_eq!(warned, if is_redis_8 { vec![] } else { vec![second.as_str()] });
}

/// What is said of a server that answers WAITAOF early.
const EARLY: &str = "acknowledges writes before its disk has them: a power loss";
