//! What a count of the live sessions asks of Redis.

use std::time::{Duration, Instant};

use cloakroom::server;
use cloakroom::service::CountPace;
use cloakroom::store::{Handle, Redis, RedisSettings};
use cloakroom::types::Clock as _;

use crate::support::fill::{create_all, session};
use crate::support::redis::RedisServer;
use crate::support::{TestService, app_settings, long_timeouts};

/// Starts a service that counts at the start if it has an interval.
async fn service(redis: &RedisServer, live_count_interval: Duration) -> TestService {
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let server = server::Settings { live_count_interval, ..long_timeouts() };
    TestService::on_store(store, [("default", app_settings()), ("empty", app_settings())], server).await
}

/// How many commands Redis has processed so far.
fn commands(redis: &RedisServer) -> u32 {
    let stats = redis.cli(&["info", "stats"]);
    let commands = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    commands.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_takes_no_more_commands_for_more_sessions_and_less_than_a_hundred_a_second() {
    let redis = RedisServer::start();
    let first = service(&redis, Duration::ZERO).await;
    let now = first.clock.now();
    let mut costs = Vec::new();
    for numbers in [0..21_000, 21_000..42_000] {
        create_all(&first.store, "default", numbers, |_| session(Some("anna"), now)).await;
        let before = commands(&redis);
        first.inner.count_live_sessions(CountPace::default()).await.unwrap();
        costs.push(commands(&redis) - before);
    }

    // Its health looks at Redis as well.
    first.stop();
    drop(first);
    let (before, begin) = (commands(&redis), Instant::now());
    let idle = service(&redis, Duration::from_secs(300)).await;
    while idle.stats("").await.live.is_none() {
        assert!(begin.elapsed() < Duration::from_secs(120), "there is no count yet");
        tokio::task::yield_now().await;
    }
    let (sent, seconds) = (commands(&redis) - before, begin.elapsed().as_secs_f64());
    let counted = idle.stats("").await.live.unwrap();

    // One command lists 500 keys. All are listed, because the other app may have sessions too. Health looks at Redis as
    // well, about forty commands a second.
    assert!(costs.iter().all(|cost| *cost < 1500) && costs[1] <= costs[0] + 300, "{costs:?}");
    assert!((39_900..=44_100).contains(&counted), "{counted}");
    assert!(f64::from(sent) / seconds < 100.0, "{sent} commands in {seconds} s");
}
