//! The clock of Redis, by which it expires sessions.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::store::{Handle, Redis, RedisSettings};

use crate::support::cluster::{KeySpace, primaries};
use crate::support::now;
use crate::support::redis::RedisServer;

#[tokio::test]
async fn the_clock_of_redis_can_be_compared_with_that_of_the_service() {
    let redis = RedisServer::start();
    let store = Handle::from(Redis::new(&RedisSettings { url: redis.url(), ..Default::default() }).unwrap());

    let (before, read, after) = (now(), store.read_clocks().await.unwrap()[0].time, now());

    assert!(before <= read + Duration::from_millis(1) && read <= after, "{before:?} {read:?} {after:?}");
}

#[tokio::test]
async fn each_primary_of_a_redis_cluster_names_itself_with_its_clock() {
    let keys = KeySpace::new();
    let store = Handle::from(Redis::new(&keys.settings()).unwrap());

    let clocks = store.read_clocks().await.unwrap();

    let nodes: BTreeSet<_> = clocks.iter().map(|clock| clock.node.as_deref().unwrap()).collect();
    assert_eq!((nodes.len(), clocks.len()), (primaries(), primaries()));
}
