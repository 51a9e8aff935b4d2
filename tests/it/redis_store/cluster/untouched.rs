//! Calls about sessions of two nodes, while the third one hangs or is killed: none fails, and none waits for it.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::grpc::wire::{Changes, Outcome, RotationCause, Session};
use cloakroom::store::RedisSettings;

use super::{CALM, partitions, service_on};
use crate::redis_store::counters::partition;
use crate::support::TestService;
use crate::support::calls::{ChangesExt as _, save};
use crate::support::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_fails_no_call_of_another_node() {
    serve_without_a_node("-STOP").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_fails_no_call_of_another_node() {
    serve_without_a_node("-KILL").await;
}

/// Sends a signal to the first node, and makes each kind of call about sessions and subjects of the others.
async fn serve_without_a_node(signal: &str) {
    let cluster = Cluster::start(3, 0, CALM);
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    // Longer than calls of this service may take. So one that waits for the node fails.
    let timeout = Duration::from_secs(600);
    let service = service_on(RedisSettings { timeout, ..cluster.settings() }).await;
    let elsewhere = Subjects::log_in(&cluster, &service).await;
    let [listed, crowded] = &elsewhere.at_others;
    for _ in 0..CROWD {
        log_in(&service, &ticket_at(&service, &[0]).await, &crowded.subject).await;
    }

    cluster.nodes[0].redis.signal(signal);

    let ticket = ticket_at(&service, &[1, 2]).await;
    let created = service.save(save(&ticket, Changes::default().set("n", "0").set("m", "1"))).await;
    assert_eq!(created.outcome(), Outcome::Created);
    let token = created.session.unwrap().token;
    service.save(save(&token, Changes::default().increment("n", 2))).await;
    service.save(save(&token, Changes::default().unset("m").permanent(true))).await;
    let token = service.rotate(&token, RotationCause::Renewal, "").await.session.unwrap().token;
    assert_eq!(service.entries(&token).await["n"], "2");
    // The index of this subject names many sessions of the first node, and a login looks whether some still live.
    let token = log_in(&service, &token, &crowded.subject).await.token;
    assert_eq!(service.destroy(&token).await.outcome(), Outcome::Deleted);
    // The index of that subject is at the first node. It may name a session that has ended.
    assert_eq!(service.destroy(&elsewhere.at_first.token).await.outcome(), Outcome::Deleted);
    assert_eq!(service.ids_of(&listed.subject).await, [listed.id.as_str()]);
    assert_eq!(service.revoke_subject(&listed.subject, "").await, 1);
    service.store.ping().await.unwrap();
}

/// Subjects with one session each, all of them at the second and the third node.
struct Subjects {
    /// The index of this one is at the first node.
    at_first: Session,
    at_others: [Session; 2],
}

impl Subjects {
    async fn log_in(cluster: &Cluster, service: &Arc<TestService>) -> Self {
        let count_indexes = || {
            let keys = cluster.nodes[0].redis.keys();
            keys.iter().filter(|key| key.ends_with(":subject")).count()
        };
        let (mut at_first, mut at_others) = (Vec::new(), Vec::new());
        for number in 0.. {
            let before = count_indexes();
            let session = log_in(service, &ticket_at(service, &[1, 2]).await, &format!("user{number}")).await;
            if count_indexes() > before {
                at_first.push(session)
            } else {
                at_others.push(session)
            }
            if !at_first.is_empty() && at_others.len() >= 2 {
                break;
            }
        }
        let mut at_others = at_others.into_iter();
        let mut other = || at_others.next().expect("there are two");
        Self { at_first: at_first.remove(0), at_others: [other(), other()] }
    }
}

/// Opens a new session whose partition is at one of these nodes, and returns its ticket.
async fn ticket_at(service: &TestService, nodes: &[u16]) -> String {
    loop {
        let Session { token, id, .. } = service.open_new().await;
        if nodes.iter().any(|node| partitions(*node).contains(&partition(&id))) {
            return token;
        }
    }
}

async fn log_in(service: &TestService, token: &str, subject: &str) -> Session {
    let changes = Changes::default().set("a", "1").subject(subject);
    service.save(save(token, changes)).await.session.unwrap()
}

/// More than an index may have before a login looks at some of it.
const CROWD: usize = 24;
