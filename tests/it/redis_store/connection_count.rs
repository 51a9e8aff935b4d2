//! How many connections the service keeps to each server: a few, which all calls share.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{Handle, Redis, RedisSettings};

use super::counters::{Counters, check_all_done};
use super::until;
use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;
use crate::support::{TestService, app_settings, long_timeouts};

/// Counts the connections to these servers while far more calls than that are made at once.
async fn check(settings: RedisSettings, servers: &[&RedisServer]) {
    let settings = RedisSettings { timeout: Duration::from_secs(60), ..settings };
    let expected = settings.connections * (WORKERS + 1);
    let store = Handle::from(Redis::new(&settings).unwrap());
    let service = Arc::new(TestService::on_store(store, [("default", app_settings())], long_timeouts()).await);
    let counters = Counters::start(&service, CALLERS).await;
    counters.until_incremented(|_| true).await;
    until("all connections", async || servers.iter().all(|server| connections(server) == expected)).await;

    for _ in 0..LOOKS {
        counters.until_any_is_incremented().await;
        for server in servers {
            assert_eq!(connections(server), expected, "{} for each worker", settings.connections);
        }
    }

    check_all_done(&service, &counters.stop().await).await;
    service.revoke_app("").await;
    let with_admin = expected + settings.connections;
    until("those of AdminService", async || servers.iter().all(|server| connections(server) == with_admin)).await;
}

/// How many connections a server has, without that of this command.
fn connections(server: &RedisServer) -> usize {
    let clients = server.cli(&["client", "list", "type", "normal"]);
    clients.lines().filter(|client| !client.contains("cmd=client")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_worker_keeps_its_number_of_connections_however_many_calls_are_made() {
    for connections in [1, 3] {
        let redis = RedisServer::start();
        check(RedisSettings { url: redis.url(), connections, ..Default::default() }, &[&redis]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_worker_keeps_its_number_of_connections_to_each_primary_of_a_cluster_and_none_to_replicas() {
    let cluster = Cluster::start(3, 1, Duration::from_secs(60));
    let (primaries, replica) = cluster.nodes.split_at(3);
    let servers: Vec<&RedisServer> = primaries.iter().map(|node| &node.redis).collect();

    check(cluster.settings(), &servers).await;

    assert_eq!(connections(&replica[0].redis), 0, "replicas are not read");
}

/// The workers of a test's service. What it does by itself, such as its check of health, has connections as one more.
const WORKERS: usize = 2;

const CALLERS: usize = 64;
const LOOKS: usize = 50;
