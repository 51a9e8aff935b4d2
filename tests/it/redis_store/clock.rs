//! The clock of Redis, by which it expires sessions.

use std::time::Duration;

use cloakroom::store::{Handle, Redis, RedisSettings};

use crate::support::now;
use crate::support::redis::RedisServer;

#[tokio::test]
async fn the_clock_of_redis_can_be_compared_with_that_of_the_service() {
    let redis = RedisServer::start();
    let store = Handle::from(Redis::new(&RedisSettings { url: redis.url(), ..Default::default() }).unwrap());

    let (before, read, after) = (now(), store.read_clocks().await.unwrap()[0], now());

    assert!(before <= read + Duration::from_millis(1) && read <= after, "{before:?} {read:?} {after:?}");
}
