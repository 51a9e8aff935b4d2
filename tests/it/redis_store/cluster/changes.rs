//! Nodes that are added, replaced and removed as operators do, while counters are incremented.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::RedisSettings;
use tokio::task::block_in_place;

use super::metrics::of_node;
use super::{CALM, service_on};
use crate::admin::http_pages::{await_metric, metric};
use crate::redis_store::counters::{Counters, check_all_done};
use crate::redis_store::until;
use crate::support::TestService;
use crate::support::cluster::{Cluster, Node};
use crate::support::environment::number;

/// Starts three primaries, a service on them, and counters.
async fn start() -> (Cluster, Arc<TestService>, Counters) {
    let cluster = Cluster::start(3, 0, CALM);
    let service = service_on(RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).await;
    let counters = Counters::start(&service, WRITERS).await;
    (cluster, service, counters)
}

/// Waits until the service has no connection to a node, and its metrics do not name it.
async fn until_dropped(service: &TestService, node: &Node) {
    for name in ["up", "failures_total"] {
        until("metrics without it", async || metric(service, &of_node(name, node)).await.is_none()).await;
    }
    let clients = || node.redis.cli(&["client", "list"]);
    until("closed connections", async || !clients().contains("user=cloakroom")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_whose_place_a_new_one_takes_fails_no_call_and_is_dropped() {
    let (mut cluster, service, counters) = start().await;
    for _ in 0..replacements() {
        counters.until_incremented(|_| true).await;
        await_metric(&service, &of_node("up", &cluster.nodes[0]), 1.0).await;

        block_in_place(|| cluster.add());
        let [old, .., new] = &cluster.nodes[..] else { panic!("there are four") };
        block_in_place(|| cluster.move_all_slots(old, new));
        counters.until_incremented(|_| true).await;
        await_metric(&service, &of_node("up", new), 1.0).await;
        until_dropped(&service, old).await;

        block_in_place(|| cluster.remove(0));
        counters.until_incremented(|_| true).await;
    }

    check_all_done(&service, &counters.stop().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_added_and_takes_over_when_it_is_told_to_fails_no_call() {
    let (mut cluster, service, counters) = start().await;
    for _ in 0..replacements() {
        counters.until_incremented(|_| true).await;

        block_in_place(|| cluster.add_replica(0));
        let [old, .., replica] = &cluster.nodes[..] else { panic!("there are four") };
        replica.run(&["cluster", "failover"]);
        until("the failover", async || old.redis.cli(&["role"]).starts_with("slave")).await;
        counters.until_incremented(|_| true).await;
        await_metric(&service, &of_node("up", replica), 1.0).await;
        until_dropped(&service, old).await;

        block_in_place(|| cluster.remove(0));
        counters.until_incremented(|_| true).await;
    }

    check_all_done(&service, &counters.stop().await).await;
}

/// How many nodes are replaced, one after another.
fn replacements() -> u64 {
    number("CLOAKROOM_TEST_REPLACED_NODES").unwrap_or(1)
}

const WRITERS: usize = 32;
