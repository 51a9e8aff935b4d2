//! Nodes that are killed or hang, and connections that are killed, while counters are incremented.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{Error, Redis, RedisSettings, Store as _};
use tonic::Code;

use super::counters::{Counter, Counters, check};
use super::{CALM, partitions, service_on};
use crate::redis_store::until;
use crate::support::TestService;
use crate::support::calls::open_cookie;
use crate::support::cluster::{Cluster, Node};
use crate::support::environment::number;

/// Starts three primaries with so many replicas, and a service on them.
async fn start(replicas: usize) -> (Cluster, Arc<TestService>) {
    let cluster = Cluster::start(3, replicas, node_timeout());
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let timeout = Duration::from_secs(1);
    let service = service_on(RedisSettings { timeout, ..cluster.settings() }).await;
    (cluster, service)
}

/// Waits until the replica of a primary has taken its place.
async fn until_replaced(cluster: &Cluster, primary: usize) {
    let replica = &cluster.nodes[primary + 3];
    until("the promotion", async || replica.redis.cli(&["role"]).starts_with("master")).await;
}

/// Prints what a fault did to the calls, for `make soak`.
#[expect(clippy::print_stdout, reason = "the amounts are what is measured")]
fn report(fault: &str, lost: i64, counters: &[Counter], primary: u16) {
    let all: i64 = counters.iter().map(|counter| counter.acknowledged).sum();
    let (there, elsewhere): (Vec<_>, Vec<_>) =
        counters.iter().partition(|counter| partitions(primary).contains(&counter.partition));
    let failed = |counters: &[&Counter]| counters.iter().map(|counter| counter.failed).sum::<i64>();
    let gap = |counters: &[&Counter]| counters.iter().map(|counter| counter.gap).max().unwrap_or_default();
    println!(
        "{fault}: {lost} of {all} writes lost, {} errors and a gap of {:?} at the node, {} and {:?} elsewhere",
        failed(&there),
        gap(&there),
        failed(&elsewhere),
        gap(&elsewhere)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_killed_takes_no_write_with_it_that_its_replica_had() {
    for _ in 0..rounds() {
        let (cluster, service) = start(3).await;
        let counters = Counters::start(&service, WRITERS).await;
        counters.until_incremented(|_| true).await;

        cluster.nodes[0].redis.signal("-KILL");
        until_replaced(&cluster, 0).await;
        counters.until_incremented(|_| true).await;

        let counters = counters.stop().await;
        let lost = check(&service, &counters, IN_FLIGHT).await;
        report("killed", lost, &counters, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hung_and_came_back_takes_no_write_with_it_that_its_replica_had() {
    for _ in 0..rounds() {
        let (cluster, service) = start(3).await;
        let counters = Counters::start(&service, WRITERS).await;
        counters.until_incremented(|_| true).await;

        cluster.nodes[1].redis.signal("-STOP");
        until_replaced(&cluster, 1).await;
        // What was sent to it meanwhile has failed by then.
        counters.until_incremented(|_| true).await;
        cluster.nodes[1].redis.signal("-CONT");
        until("the demotion", async || cluster.nodes[1].redis.cli(&["role"]).starts_with("slave")).await;
        counters.until_incremented(|_| true).await;

        let counters = counters.stop().await;
        let lost = check(&service, &counters, IN_FLIGHT).await;
        report("hung", lost, &counters, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_down_stops_only_its_partitions_and_ends_none_of_its_sessions() {
    let (cluster, service) = start(0).await;
    let counters = Counters::start(&service, WRITERS).await;
    counters.until_incremented(|_| true).await;

    cluster.nodes[0].redis.signal("-KILL");
    counters.until_failed(|partition| partitions(0).contains(&partition)).await;
    let is_elsewhere = |partition| partitions(1).contains(&partition) || partitions(2).contains(&partition);
    counters.until_incremented(is_elsewhere).await;

    let mut counters = counters.stop().await;
    for counter in counters.iter().filter(|counter| partitions(0).contains(&counter.partition)) {
        let opened = service.try_open(open_cookie(&format!("session={}", counter.token))).await;
        assert_eq!(opened.err().map(|status| status.code()), Some(Code::Unavailable));
    }
    counters.retain(|counter| is_elsewhere(counter.partition));
    assert_eq!(check(&service, &counters, 0).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_down_or_takes_no_writes_leaves_the_service_healthy_and_two_do_not() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&cluster.settings()).unwrap();
    let replicas = |node: &Node, count| node.run(&["config", "set", "min-replicas-to-write", count]);
    store.ping().await.unwrap();

    replicas(&cluster.nodes[0], "1");
    store.ping().await.unwrap();
    replicas(&cluster.nodes[2], "1");
    let refused = store.ping().await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "{refused:?}");
    replicas(&cluster.nodes[0], "0");
    replicas(&cluster.nodes[2], "0");
    store.ping().await.unwrap();

    // It has the slot of the layout marker.
    cluster.nodes[1].redis.signal("-KILL");
    for _ in 0..3 {
        store.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_fail_only_what_was_under_way() {
    let cluster = Cluster::start(3, 0, CALM);
    let service = service_on(RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).await;
    let counters = Counters::start(&service, WRITERS).await;

    for round in 0..KILLS {
        counters.until_any_is_incremented().await;
        cluster.nodes[round % 3].redis.cli(&["client", "kill", "type", "normal"]);
    }
    counters.until_incremented(|_| true).await;

    let counters = counters.stop().await;
    let failed: i64 = counters.iter().map(|counter| counter.failed).sum();
    let most = i64::try_from(KILLS * WRITERS).unwrap();
    assert!(failed <= most, "{failed} errors");
    assert_eq!(check(&service, &counters, 0).await, 0);
}

/// How many failovers are tried. On a machine that does nothing else, `make soak` measures many.
fn rounds() -> u64 {
    number("CLOAKROOM_TEST_FAILOVERS").unwrap_or(1)
}

/// The time after which a node counts as failed. A busy machine may keep a process waiting for some seconds.
fn node_timeout() -> Duration {
    Duration::from_secs(if rounds() > 1 { 2 } else { 5 })
}

const WRITERS: usize = 32;
const KILLS: usize = 40;

/// How many writes of one session a primary may have acknowledged that it has not sent to its replica yet.
///
/// It sends answers and what it replicates one after the other, in the same turn, and may be stopped in between.
const IN_FLIGHT: i64 = 1;
