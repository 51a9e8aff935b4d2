//! What the metrics tell of the nodes and slots.

use std::time::Duration;

use cloakroom::store::RedisSettings;

use super::{CALM, service_on};
use crate::admin::http_pages::{await_metric, metric};
use crate::redis_store::until;
use crate::support::TestService;
use crate::support::calls::open_cookie;
use crate::support::cluster::{Cluster, Node};

pub(super) fn of_node(metric: &str, node: &Node) -> String {
    format!("cloakroom_redis_node_{metric}{{node=\"127.0.0.1:{}\"}}", node.port)
}

async fn until_counted(service: &TestService, name: &str) {
    until(name, async || metric(service, name).await.is_some_and(|count| count >= 1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_is_named_and_the_others_are_up() {
    let cluster = Cluster::start(3, 0, CALM);
    let service = service_on(RedisSettings { timeout: Duration::from_secs(1), ..cluster.settings() }).await;
    for node in &cluster.nodes {
        await_metric(&service, &of_node("up", node), 1.0).await;
    }

    let [first, second, third] = &cluster.nodes[..] else { panic!("there are three") };
    second.redis.signal("-STOP");
    await_metric(&service, &of_node("up", second), 0.0).await;
    until_counted(&service, &of_node("failures_total", second)).await;

    for node in [first, third] {
        await_metric(&service, &of_node("up", node), 1.0).await;
    }
    second.redis.signal("-CONT");
    await_metric(&service, &of_node("up", second), 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirections_changes_and_slots_without_a_node_are_counted() {
    let cluster = Cluster::start(3, 0, CALM);
    let service = service_on(cluster.settings()).await;
    let cookie = format!("session={}", service.stored(&[("a", "1")]).await);
    let (from, key) = cluster.nodes.iter().find_map(|node| Some((node, session_key(node)?))).expect("it is stored");
    let to = cluster.nodes.iter().find(|node| node.port != from.port).expect("there are three");
    let slot = from.redis.cli(&["cluster", "keyslot", &key]).trim().to_owned();
    assert_eq!(metric(&service, "cloakroom_redis_slots_uncovered").await, Some(0.0));
    assert_eq!(metric(&service, "cloakroom_redis_topology_changes_total").await, Some(0.0));

    cluster.move_slot(&slot, from, to);
    until("MOVED", async || {
        service.open(open_cookie(&cookie)).await;
        metric(&service, "cloakroom_redis_redirections_total{code=\"MOVED\"}").await.is_some_and(|count| count >= 1.0)
    })
    .await;
    until_counted(&service, "cloakroom_redis_topology_changes_total").await;
    cluster.nodes.iter().for_each(|node| node.run(&["cluster", "delslots", &slot]));

    await_metric(&service, "cloakroom_redis_slots_uncovered", 1.0).await;
}

fn session_key(node: &Node) -> Option<String> {
    node.redis.keys().into_iter().find(|key| key.contains(":default:") && key.len() > 40)
}
