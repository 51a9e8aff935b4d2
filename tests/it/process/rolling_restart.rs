//! Rolling restarts of two replicas on one Redis, under load: no call fails, and none counts twice.

use std::sync::atomic::Ordering;

use cloakroom::token::Key;

use super::child::Process;
use super::load::{Load, Restart};
use crate::support::environment::number;
use crate::support::redis::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_fail_no_call_and_double_no_effect() {
    roll(Restart::Orderly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_no_increment_and_double_none() {
    roll(Restart::Kill).await;
}

async fn roll(restart: Restart) {
    let (redis, key) = (RedisServer::start(), Key::generate());
    let mut replicas = replicas(&redis, &key).await;
    let load = Load::start(&replicas, CALLERS, restart);

    for _ in 0..number("CLOAKROOM_TEST_RESTARTS").unwrap_or(RESTARTS) {
        for replica in &mut replicas {
            load.more(CALLS_BETWEEN).await;
            replica.signal(if restart == Restart::Kill { "-KILL" } else { "-TERM" });
            let status = replica.ended().await;
            assert_eq!(status.success(), restart == Restart::Orderly, "{status}: {}", replica.said());
            replica.start_again().await;
        }
    }
    load.more(CALLS_BETWEEN).await;

    let seen = load.stop().await;
    assert!(seen.repeated.load(Ordering::Relaxed) > 0, "the load has met the restarts: {seen:?}");
}

/// Two replicas that share a Redis and a key, which each has in a file of its own.
pub(super) async fn replicas(redis: &RedisServer, key: &str) -> [Process; 2] {
    let config = "[store]\nkind = \"redis\"\n[apps.default]\nkeys_file = \"keys\"\n\
                  [reload]\npoll_interval = \"50ms\"\n[server]\ncall_timeout = \"60s\"\n";
    let (url, keys) = (redis.url(), [("keys", key)]);
    let environment = [("CLOAKROOM__STORE__REDIS__URL", url.as_str()), ("CLOAKROOM__STORE__REDIS__TIMEOUT", "30s")];
    [Process::start(config, &keys, &environment).await, Process::start(config, &keys, &environment).await]
}

/// How often each replica is restarted.
const RESTARTS: u32 = 5;
const CALLERS: usize = 24;
/// Enough for every caller to have met what has changed.
const CALLS_BETWEEN: u64 = 200;
