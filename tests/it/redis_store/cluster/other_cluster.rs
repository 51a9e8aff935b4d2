//! A node of another cluster at the address of one that is gone: opens fail there, and no session seems to be missing.

use std::time::{Duration, Instant};

use cloakroom::grpc::wire::Session;
use cloakroom::store::RedisSettings;
use cloakroom::types::with_causes;
use tokio::time::sleep;
use tonic::Code;

use super::{CALM, service_on};
use crate::redis_store::{TIMEOUT, until};
use crate::support::TestService;
use crate::support::calls::open_cookie;
use crate::support::cluster::{Cluster, Node};

/// Opens a session. Returns whether it is there; the code of the error if that fails.
async fn open(service: &TestService, session: &Session) -> Result<bool, Code> {
    let opened = service.try_open(open_cookie(&format!("session={}", session.token))).await;
    opened.map(|opened| opened.session.unwrap().id == session.id).map_err(|status| status.code())
}

/// Stores a session at this node of two.
async fn session_at(service: &TestService, node: usize) -> Session {
    loop {
        let token = service.stored(&[("a", "1")]).await;
        let session = service.session(&token).await;
        if usize::from(u16::from_str_radix(&session.id[..4], 16).unwrap() >= 0x8000) == node {
            return Session { token, ..session };
        }
    }
}

fn settings(node: &Node) -> RedisSettings {
    RedisSettings { timeout: TIMEOUT, ..node.settings() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_at_the_address_of_a_known_one_is_not_asked_for_sessions() {
    let mut cluster = Cluster::start(2, 0, CALM);
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let service = service_on(settings(&cluster.nodes[1])).await;
    let [lost, there] = [session_at(&service, 0).await, session_at(&service, 1).await];

    let port = cluster.nodes.remove(0).port;
    let other = Node::start_alone(port);
    let begin = Instant::now();
    while begin.elapsed() < LONG_ENOUGH {
        assert_eq!(open(&service, &lost).await, Err(Code::Unavailable), "its node is gone");
        assert_ne!(open(&service, &there).await, Ok(false), "its node is there");
        sleep(Duration::from_millis(10)).await;
    }

    assert_eq!(open(&service, &there).await, Ok(true));
    assert_eq!(other.redis.keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_over_is_found_although_another_cluster_has_the_address_of_its_primary() {
    let mut cluster = Cluster::start(1, 1, CALM);
    let service = service_on(settings(&cluster.nodes[1])).await;
    let session = session_at(&service, 0).await;
    until("the session at the replica", async || cluster.nodes[1].redis.keys().len() > 1).await;
    // It would otherwise get the empty data set of the other cluster, for it asks at the address of its primary.
    for (setting, value) in [("masteruser", "nobody"), ("masterauth", "wrong")] {
        cluster.nodes[1].run(&["config", "set", setting, value]);
    }

    let port = cluster.nodes.remove(0).port;
    let other = Node::start_alone(port);
    let begin = Instant::now();
    while begin.elapsed() < LONG_ENOUGH {
        assert_eq!(open(&service, &session).await, Err(Code::Unavailable), "its node is gone");
        sleep(Duration::from_millis(10)).await;
    }
    let problem = with_causes(&service.store.ping().await.expect_err("no node is there"));
    assert!(problem.contains("does not belong to the Redis Cluster"), "{problem}");
    cluster.nodes[0].run(&["cluster", "failover", "takeover"]);

    until("the session", async || {
        let opened = open(&service, &session).await;
        assert_ne!(opened, Ok(false), "the other cluster was asked");
        opened.is_ok()
    })
    .await;
    assert_eq!(other.redis.keys(), Vec::<String>::new());
}

/// Longer than it takes to ask for the slots again, and to open a connection to a node that comes back.
const LONG_ENOUGH: Duration = Duration::from_secs(8);
