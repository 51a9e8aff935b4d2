//! Nodes that are killed or hang, while counters are incremented.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::store::{Error, Redis, RedisSettings, SessionKey, Store as _};
use cloakroom::token::SessionId;
use cloakroom::types::with_causes;
use tonic::Code;

use super::{CALM, partitions, service_on};
use crate::conformance::fixtures::{app, create, record};
use crate::redis_store::counters::{Counters, check_all_done, compare};
use crate::redis_store::failovers::{Failovers, Goals, are_judged, rounds};
use crate::redis_store::until;
use crate::support::TestService;
use crate::support::calls::open_cookie;
use crate::support::cluster::{Cluster, Node};

/// Starts three primaries with so many replicas, and a service on them.
async fn start(replicas: usize) -> (Cluster, Arc<TestService>) {
    start_with(replicas, node_timeout(), Duration::from_secs(1)).await
}

/// The same, with these timeouts of the nodes and of calls of the store.
async fn start_with(replicas: usize, node_timeout: Duration, timeout: Duration) -> (Cluster, Arc<TestService>) {
    let cluster = Cluster::start(3, replicas, node_timeout);
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let service = service_on(RedisSettings { timeout, ..cluster.settings() }).await;
    (cluster, service)
}

/// Waits until the replica of a primary has taken its place.
async fn until_replaced(cluster: &Cluster, primary: usize) {
    let replica = &cluster.nodes[primary + 3];
    until("the promotion", async || replica.redis.cli(&["role"]).starts_with("master")).await;
}

/// Stops the counters, checks what is stored, and adds the round.
async fn add(failovers: &mut Failovers, service: &TestService, counters: Counters, primary: u16, ready: Duration) {
    let counters = counters.stop().await;
    let found = compare(service, &counters).await;
    let most = if are_judged() { i64::MAX } else { IN_FLIGHT };
    assert!(found.most_lost <= most && found.twice == 0, "{found:?}");
    failovers.add(&counters, |partition| at(primary, partition), found, ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_killed_takes_no_write_with_it_that_its_replica_had() {
    let mut failovers = Failovers::default();
    for _ in 0..rounds() {
        let (cluster, service) = start(3).await;
        let counters = Counters::start(&service, WRITERS).await;
        counters.until_incremented(|_| true).await;

        cluster.nodes[0].redis.signal("-KILL");
        until_replaced(&cluster, 0).await;
        let promoted = Instant::now();
        counters.until_incremented(|_| true).await;
        let ready = promoted.elapsed();

        add(&mut failovers, &service, counters, 0, ready).await;
    }
    failovers.judge("a primary of a cluster is killed", goals());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hung_and_came_back_takes_no_write_with_it_that_its_replica_had() {
    let mut failovers = Failovers::default();
    for _ in 0..rounds() {
        let (cluster, service) = start(3).await;
        let counters = Counters::start(&service, WRITERS).await;
        counters.until_incremented(|_| true).await;

        cluster.nodes[1].redis.signal("-STOP");
        until_replaced(&cluster, 1).await;
        let promoted = Instant::now();
        // What was sent to it meanwhile has failed by then.
        counters.until_incremented(|_| true).await;
        let ready = promoted.elapsed();
        cluster.nodes[1].redis.signal("-CONT");
        until("the demotion", async || cluster.nodes[1].redis.cli(&["role"]).starts_with("slave")).await;
        counters.until_incremented(|_| true).await;

        add(&mut failovers, &service, counters, 1, ready).await;
    }
    failovers.judge("a primary of a cluster hangs and comes back", goals());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_down_stops_only_its_partitions_and_ends_none_of_its_sessions() {
    // No call at another node fails only because the machine is slow.
    let (cluster, service) = start_with(0, CALM, Duration::from_secs(10)).await;
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
    check_all_done(&service, &counters).await;
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

/// The cause is the answer that did not come: a call that waited for a new connection would name that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_begins_after_a_node_was_found_silent_does_not_wait_for_it_again() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(4), ..cluster.settings() }).unwrap();
    let key = SessionKey { app: app("default"), id: SessionId::from_bytes([0; 16]) };
    create(&store, key.clone(), &record()).await;

    cluster.nodes[0].redis.signal("-STOP");
    store.load(&key).await.unwrap_err();
    let at_once = with_causes(&store.load(&key).await.unwrap_err());
    cluster.nodes[0].redis.signal("-CONT");

    assert!(at_once.contains("no answer within 4s"), "{at_once}");
    until("the node", async || store.load(&key).await.is_ok()).await;
}

/// The time after which a node counts as failed. A busy machine may keep a process waiting for some seconds.
fn node_timeout() -> Duration {
    Duration::from_secs(if rounds() > 1 || are_judged() { 2 } else { 5 })
}

/// What a failover may do at most.
fn goals() -> Goals {
    Goals { gap: node_timeout() + Duration::from_secs(2), ready: Duration::from_secs(2), errors: i64::MAX }
}

/// Whether a partition may be at this primary of three.
pub(super) fn at(primary: u16, partition: u16) -> bool {
    (0..3).all(|other| other == primary || !partitions(other).contains(&partition))
}

const WRITERS: usize = 32;

/// How many writes of one session a primary may have acknowledged that it has not sent to its replica yet.
///
/// It sends answers and what it replicates one after the other, in the same turn, and may be stopped in between.
const IN_FLIGHT: i64 = 1;
