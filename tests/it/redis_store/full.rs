//! A Redis that has no room: whatever ends a session works, and everything else that writes is refused.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::grpc::wire::{Changes, Outcome};
use cloakroom::store::{PartitionCount, Redis, RedisSettings};
use tonic::Code;

use super::service;
use crate::conformance::full::a_full_store_ends_sessions;
use crate::support::calls::{ChangesExt as _, reason, refused, save};
use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;

fn set_maxmemory(redis: &RedisServer, bytes: &str) {
    assert_eq!(redis.cli(&["config", "set", "maxmemory", bytes]), "OK\n");
}

/// Leaves room for some sessions.
fn leave_little_room(redis: &RedisServer) {
    let used = redis.cli(&["info", "memory"]);
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse::<u64>().unwrap();
    set_maxmemory(redis, &(used + (4 << 20)).to_string());
}

#[tokio::test]
async fn a_full_redis_ends_sessions_in_each_layout() {
    for partitions in [PartitionCount::P64, PartitionCount::P1024] {
        let redis = RedisServer::start();
        let settings = RedisSettings { url: redis.url(), partitions: Some(partitions), ..Default::default() };
        leave_little_room(&redis);

        a_full_store_ends_sessions(&Arc::new(Redis::new(&settings).unwrap())).await;
    }
}

#[tokio::test]
async fn a_cluster_with_full_nodes_ends_sessions() {
    let cluster = Cluster::start(3, 0, Duration::from_secs(5));
    cluster.nodes.iter().for_each(|node| leave_little_room(&node.redis));

    a_full_store_ends_sessions(&Arc::new(Redis::new(&cluster.settings()).unwrap())).await;
}

#[tokio::test]
async fn ending_needs_no_room() {
    let (redis, service) = service().await;
    let first = service.logged_in("anna").await;
    let second = service.logged_in("anna").await;
    let third = service.logged_in("ben").await;
    let fourth = service.logged_in("carl").await;

    set_maxmemory(&redis, "1");

    let saved = refused(service.try_save(save(&first.token, Changes::default().set("a", "2"))).await);
    let created =
        refused(service.try_save(save(&service.open_new().await.token, Changes::default().set("a", "2"))).await);
    assert_eq!(reason(&saved), (Code::ResourceExhausted, "STORE_FULL".to_owned()));
    assert_eq!(reason(&created), (Code::ResourceExhausted, "STORE_FULL".to_owned()));
    assert_eq!(service.destroy(&first.token).await.outcome(), Outcome::Deleted);
    service.revoke(&service.ids_of("ben").await[0]).await;
    assert_eq!(service.revoke_subject("anna", "").await, 1);
    service.revoke_app("").await;
    set_maxmemory(&redis, "0");
    for session in [first, second, third, fourth] {
        assert!(!service.is_live(&session.token).await);
    }
}
