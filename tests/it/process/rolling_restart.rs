//! Rolling restarts of two replicas on one Redis under load: no call fails, and none is applied twice.

use std::sync::atomic::Ordering;

use cloakroom::token::Key;

use super::child::Process;
use super::load::{Load, Restart};
use crate::support::environment::number;
use crate::support::redis::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_fail_no_call_and_double_no_effect() {
    restart_under_load(Restart::Orderly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_no_increment_and_double_none() {
    restart_under_load(Restart::Kill).await;
}

async fn restart_under_load(restart: Restart) {
    let (redis, key) = (RedisServer::start(), Key::generate());
    let mut replicas = replicas(&redis, &key).await;
    let load = Load::start(replicas.each_ref(), CALLERS, restart);

    for _ in 0..number("CLOAKROOM_TEST_RESTARTS").unwrap_or(RESTARTS) {
        for replica in &mut replicas {
            load.await_calls(CALLS_BETWEEN).await;
            replica.signal(if restart == Restart::Kill { "-KILL" } else { "-TERM" });
            let status = replica.await_exit().await;
            assert_eq!(status.success(), restart == Restart::Orderly, "{status}: {}", replica.output());
            replica.start_again().await;
        }
    }
    load.await_calls(CALLS_BETWEEN).await;

    let stats = load.stop().await;
    assert!(stats.repeated.load(Ordering::Relaxed) > 0, "no call was interrupted by a restart: {stats:?}");
}

/// Starts two replicas that share a Redis and a key, which each reads from its own file.
pub(super) async fn replicas(redis: &RedisServer, key: &str) -> [Process; 2] {
    let config = "[store]\nkind = \"redis\"\n[apps.default]\nkeys_file = \"keys\"\n\
                  [reload]\npoll_interval = \"50ms\"\n[server]\ncall_timeout = \"60s\"\n";
    let (url, keys) = (redis.url(), [("keys", key)]);
    let environment = [("CLOAKROOM__STORE__REDIS__URL", url.as_str()), ("CLOAKROOM__STORE__REDIS__TIMEOUT", "30s")];
    [Process::start(config, &keys, &environment).await, Process::start(config, &keys, &environment).await]
}

/// The number of restarts of each replica.
const RESTARTS: u32 = 5;
const CALLERS: usize = 24;
/// Enough for every caller to meet a change.
const CALLS_BETWEEN: u64 = 200;
