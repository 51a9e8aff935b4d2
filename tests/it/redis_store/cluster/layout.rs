//! The layout marker, and settings that do not fit a cluster.

use std::time::Duration;

use cloakroom::store::{PartitionCount, Redis, RedisMode, RedisSettings, Store as _};
use cloakroom::types::with_causes;

use crate::conformance::fixtures::{create_session, session_key};
use crate::redis_store::until;
use crate::support::redis::RedisServer;
use crate::support::{cluster, redis};

/// Waits until the health of a store is bad for such a reason, and returns it.
///
/// One look leaves out a node that is slower than most of the others.
async fn problem(settings: &RedisSettings, is_meant: impl Fn(&str) -> bool) -> String {
    let store = Redis::new(settings).unwrap();
    let mut problem = String::new();
    until("the problem", async || {
        let Err(error) = store.ping().await else { return false };
        problem = with_causes(&error);
        is_meant(&problem)
    })
    .await;
    problem
}

/// Waits until a store can be relied on.
async fn until_healthy(settings: &RedisSettings) {
    let store = Redis::new(settings).unwrap();
    until("a store without a problem", async || store.ping().await.is_ok()).await;
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_and_named() {
    let settings = redis::settings();
    let other = RedisSettings { partitions: Some(PartitionCount::P1024), ..settings.clone() };
    create_session(&Redis::new(&settings).unwrap()).await;

    let problem = problem(&other, |problem| problem.contains("are in 64 partitions")).await;

    assert!(problem.contains("set partitions = 64"), "{problem}");
    let store = Redis::new(&other).unwrap();
    store.load(&session_key(1)).await.expect_err("it would look where the session is not");
    store.revoke_app(&session_key(1).app, crate::support::now()).await.expect_err("it would miss the session");
}

#[tokio::test]
async fn sessions_from_before_the_marker_are_found_by_their_keys() {
    let server = RedisServer::start();
    let settings = RedisSettings { url: server.url(), ..Default::default() };
    create_session(&Redis::new(&settings).unwrap()).await;
    assert_eq!(server.cli(&["del", "cloakroom:layout"]), "1\n");

    let other = RedisSettings { partitions: Some(PartitionCount::P1024), ..settings.clone() };
    problem(&other, |problem| problem.contains("set partitions = 64")).await;
    Redis::new(&settings).unwrap().ping().await.unwrap();
    assert_eq!(server.cli(&["get", "cloakroom:layout"]), "64\n");
}

#[tokio::test]
async fn a_full_redis_without_the_marker_still_ends_sessions() {
    let server = RedisServer::start();
    let settings = RedisSettings { url: server.url(), timeout: Duration::from_secs(60), ..Default::default() };
    let key = create_session(&Redis::new(&settings).unwrap()).await;
    assert_eq!(server.cli(&["del", "cloakroom:layout"]), "1\n");
    assert_eq!(server.cli(&["config", "set", "maxmemory", "1"]), "OK\n");

    let store = Redis::new(&settings).unwrap();
    store.load(&key).await.unwrap().expect("it is stored");
    store.revoke_app(&key.app, crate::support::now()).await.unwrap();

    assert_eq!(server.cli(&["exists", "cloakroom:layout"]), "0\n");
}

#[tokio::test]
async fn a_cluster_may_have_64_partitions() {
    let settings = RedisSettings { partitions: Some(PartitionCount::P64), ..cluster::settings() };
    let store = Redis::new(&settings).unwrap();

    let key = create_session(&store).await;

    store.load(&key).await.unwrap().expect("it is stored");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_marker_without_a_number_is_named_and_its_text_is_not_printed() {
    let server = RedisServer::start();
    server.cli(&["set", "cloakroom:layout", "a-secret"]);
    let settings = RedisSettings { url: server.url(), ..Default::default() };

    let problem = problem(&settings, |problem| problem.contains("cloakroom:layout")).await;

    assert!(problem.contains("set it to 64") && !problem.contains("a-secret"), "{problem}");
    server.cli(&["set", "cloakroom:layout", "64"]);
    until_healthy(&settings).await;
}

#[tokio::test]
async fn a_redis_that_is_no_cluster_says_so() {
    let server = crate::support::sentinel::Server::redis("");
    let url = format!("redis://127.0.0.1:{}", server.port);

    let settings = RedisSettings { mode: RedisMode::Cluster, url, ..Default::default() };
    problem(&settings, |problem| problem.contains("cluster support disabled")).await;
}

#[tokio::test]
async fn each_right_that_a_cluster_needs_besides_is_missed_at_the_start() {
    let cluster = cluster::Cluster::start(3, 0, super::CALM);
    until_healthy(&cluster.settings()).await;

    for (right, command) in [("-asking", "asking"), ("-cluster|slots", "cluster")] {
        for node in &cluster.nodes {
            node.run(&["acl", "setuser", "cloakroom", right]);
        }
        let names = |problem: &str| problem.contains("NOPERM") && problem.to_lowercase().contains(command);
        problem(&cluster.settings(), names).await;
        for node in &cluster.nodes {
            node.run(&["acl", "setuser", "cloakroom", &right.replace('-', "+")]);
        }
        until_healthy(&cluster.settings()).await;
    }
}

#[tokio::test]
async fn a_node_that_evicts_is_refused_by_name() {
    let cluster = cluster::Cluster::start(3, 0, super::CALM);
    let evicting = &cluster.nodes[1];
    evicting.run(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    evicting.run(&["config", "set", "maxmemory", "1gb"]);

    let problem = problem(&cluster.settings(), |problem| problem.contains("would evict sessions")).await;

    assert!(problem.contains(&format!("127.0.0.1:{}", evicting.port)), "{problem}");
}
