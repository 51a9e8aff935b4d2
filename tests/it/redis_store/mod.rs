//! Redis as a store: outages, and the data in it.

mod acknowledge;
mod clock;
mod cluster;
mod connection_count;
mod connections;
mod contents;
mod counters;
mod failover;
mod failovers;
mod feed;
mod fsync;
mod full;
mod health;
mod large_subject;
mod live_count;
mod loss;
mod lost_packets;
mod outage;
mod rights;
mod same_place;
mod scans;
mod sentinel;
mod sentinel_refusals;
mod tls;
mod versions;

use std::time::{Duration, Instant};

use cloakroom::server;
use cloakroom::store::{Handle, Redis, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use tokio::time::sleep;

use crate::support::redis::RedisServer;
use crate::support::{TestService, app_settings, long_timeouts};

/// The timeout of calls of the store.
const TIMEOUT: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

/// Starts a service with a short store timeout, on a Redis of its own.
async fn service() -> (RedisServer, TestService) {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: TIMEOUT, ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let server = server::Settings { store_unhealthy_after: Duration::from_millis(500), ..long_timeouts() };
    let service = TestService::on_store(store, [("default", app_settings())], server).await;
    (redis, service)
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited for a minute: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Returns what a store's ping says is wrong, with all causes.
async fn problem(settings: &RedisSettings) -> String {
    with_causes(&Redis::new(settings).unwrap().ping().await.unwrap_err())
}
