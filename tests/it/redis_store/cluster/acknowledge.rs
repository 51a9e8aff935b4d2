//! `acknowledge` in a cluster: each write waits for the replicas of the node that did it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::grpc::wire::{Changes, RevokeAppRequest, SaveSessionRequest};
use cloakroom::store::{Acknowledge, ClusterSettings, Handle, Redis, RedisSettings, SessionKey, Store as _};
use cloakroom::token::SessionId;
use futures_util::future::join;
use tonic::Code;

use super::{CALM, partitions, service_on};
use crate::admin::http_pages::metric;
use crate::conformance::fixtures::{START, app, apply, by_token, create, record, save as plain_save, set};
use crate::redis_store::counters::{Counters, check};
use crate::redis_store::until;
use crate::support::TestService;
use crate::support::calls::{ChangesExt as _, reason, refused, save};
use crate::support::cluster::{Cluster, Node};

fn settings(cluster: &Cluster) -> RedisSettings {
    RedisSettings { acknowledge: Acknowledge::Replicas(1), timeout: TIMEOUT, ..cluster.settings() }
}

/// Logs in until the session is in a partition of this primary. Returns its token.
async fn stored_at(service: &TestService, primary: u16) -> String {
    loop {
        let ticket = service.open_new().await.token;
        let session = service.save(save(&ticket, Changes::default().set("n", "0"))).await.session.unwrap();
        if partitions(primary).contains(&(u16::from_str_radix(&session.id[..4], 16).unwrap() >> 6)) {
            return session.token;
        }
    }
}

fn counting(token: &str) -> SaveSessionRequest {
    let request_id = "0123456789abcdef".to_owned();
    SaveSessionRequest { request_id, ..save(token, Changes::default().increment("n", 1)) }
}

fn replicas_of(cluster: &Cluster, primary: usize) -> impl Iterator<Item = &Node> {
    cluster.nodes[3..].iter().skip(primary).step_by(3)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_the_replica_of_its_node_and_the_others_go_on() {
    let cluster = Cluster::start_acknowledging(1, CALM);
    let service = service_on(settings(&cluster)).await;
    let [here, elsewhere] = [stored_at(&service, 0).await, stored_at(&service, 1).await];

    replicas_of(&cluster, 0).for_each(|replica| replica.redis.signal("-STOP"));
    let (first, second) = join(service.try_save(counting(&here)), service.try_save(counting(&here))).await;
    for saved in [first, second] {
        assert_eq!(reason(&refused(saved)), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    }
    until("a save elsewhere", async || service.try_save(counting(&elsewhere)).await.is_ok()).await;
    let failures = "cloakroom_store_failures_total{operation=\"acknowledge_save\",failure=\"UNAVAILABLE\"}";
    assert!(metric(&service, failures).await.is_some_and(|count| count >= 2.0));
    let mut admin = service.admin.clone();
    let revoked = refused(admin.revoke_app(RevokeAppRequest::default()).await);
    assert_eq!(reason(&revoked), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));

    replicas_of(&cluster, 0).for_each(|replica| replica.redis.signal("-CONT"));
    until("an acknowledged revocation", async || admin.revoke_app(RevokeAppRequest::default()).await.is_ok()).await;
    assert!(!service.is_live(&here).await && !service.is_live(&elsewhere).await);
    let again = stored_at(&service, 0).await;
    assert_eq!(service.save(counting(&again)).await.counters["n"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_not_acknowledged_is_repeated_and_done_once() {
    let cluster = Cluster::start_acknowledging(1, CALM);
    let service = service_on(settings(&cluster)).await;
    let token = stored_at(&service, 2).await;

    replicas_of(&cluster, 2).for_each(|replica| replica.redis.signal("-STOP"));
    refused(service.try_save(counting(&token)).await);
    replicas_of(&cluster, 2).for_each(|replica| replica.redis.signal("-CONT"));

    until("an acknowledged save", async || service.try_save(counting(&token)).await.is_ok()).await;
    assert_eq!(service.save(counting(&token)).await.counters["n"], 1);
}

/// With `primary`, what is written while the replicas get nothing is acknowledged and lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_replicas_that_were_behind_loses_no_acknowledged_write() {
    let cluster = Cluster::start_acknowledging(2, Duration::from_secs(5));
    let service = service_on(settings(&cluster)).await;
    let counters = Counters::start(&service, WRITERS).await;
    counters.until_incremented(|_| true).await;

    replicas_of(&cluster, 0).for_each(|replica| replica.redis.signal("-STOP"));
    // What is in the buffers of a connection would still arrive.
    cluster.nodes[0].redis.cli(&["client", "kill", "type", "replica"]);
    counters.until_failed(|partition| partitions(0).contains(&partition)).await;
    cluster.nodes[0].redis.signal("-KILL");
    replicas_of(&cluster, 0).for_each(|replica| replica.redis.signal("-CONT"));
    let is_primary = |replica: &Node| replica.redis.cli(&["role"]).starts_with("master");
    until("the promotion", async || replicas_of(&cluster, 0).any(is_primary)).await;
    counters.until_incremented(|_| true).await;

    let counters = counters.stop().await;
    assert_eq!(check(&service, &counters, 0).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_saves_are_acknowledged_while_their_slot_is_moved() {
    let cluster = Cluster::start_acknowledging(1, CALM);
    let long_timeout = RedisSettings { timeout: Duration::from_secs(60), ..settings(&cluster) };
    let store = Arc::new(Redis::new(&long_timeout).unwrap());
    let key = |n: u64| {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&n.to_be_bytes());
        SessionKey { app: app("default"), id: SessionId::from_bytes(id) }
    };
    for n in 0..3 {
        create(&*store, key(n), &record()).await;
    }

    // Partition 0 of 1,024 has its tag, and so its slot. Nothing was written to any other slot.
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]).trim().to_owned();
    let record_key = format!("cloakroom:{{460}}:default:{}", key(1).id);
    let waited = "cloakroom:{460}:waited";
    cluster.begin_move(&slot, &cluster.nodes[0], &cluster.nodes[1]);
    cluster.move_keys(&cluster.nodes[0], &cluster.nodes[1], &[&record_key, waited]);

    // The first is where it was, the second has moved, and the third is written to after the whole slot has.
    for n in [0, 1] {
        apply(&*store, &key(n), &by_token(1, START), &plain_save(set("n", "1"))).await;
    }
    tokio::task::block_in_place(|| cluster.finish_move(&slot, &cluster.nodes[0], &cluster.nodes[1]));
    apply(&*store, &key(2), &by_token(1, START), &plain_save(set("n", "1"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_at_a_node_that_is_getting_its_first_slot_is_acknowledged() {
    let mut cluster = Cluster::start_acknowledging(1, CALM);
    tokio::task::block_in_place(|| {
        cluster.add();
        cluster.add_replica(6);
    });
    cluster.nodes[6..].iter().for_each(|node| node.run(&["acl", "setuser", "cloakroom", "+wait"]));
    let long_timeout = RedisSettings { timeout: Duration::from_secs(60), ..settings(&cluster) };
    let store = Redis::new(&long_timeout).unwrap();
    let key = SessionKey { app: app("default"), id: SessionId::from_bytes([0; 16]) };
    create(&store, key.clone(), &record()).await;

    let (from, to) = (&cluster.nodes[0], &cluster.nodes[6]);
    let slot = from.redis.cli(&["cluster", "keyslot", "{460}"]).trim().to_owned();
    cluster.begin_move(&slot, from, to);
    cluster.move_keys(from, to, &[&format!("cloakroom:{{460}}:default:{}", key.id)]);
    apply(&store, &key, &by_token(1, START), &plain_save(set("n", "1"))).await;

    // Nothing that the wait has written is in the way of the keys that are still to be moved.
    tokio::task::block_in_place(|| cluster.finish_move(&slot, from, to));
    apply(&store, &key, &by_token(1, START), &plain_save(set("n", "2"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_told_with_the_node() {
    let cluster = Cluster::start_acknowledging(1, CALM);
    let replica = replicas_of(&cluster, 1).next().unwrap();
    let two = RedisSettings { acknowledge_endings: Some(Acknowledge::Replicas(2)), ..settings(&cluster) };
    let told = async |settings: &RedisSettings| {
        let store = Handle::from(Redis::new(settings).unwrap());
        store.check_replicas().await.map_err(|error| error.source().unwrap().to_string())
    };

    assert_eq!(told(&settings(&cluster)).await, Ok(()));
    let missing = told(&two).await.unwrap_err();
    assert!(missing.contains("1 of the 2 replicas of Redis that have to acknowledge writes"), "{missing}");
    assert!(cluster.nodes[..3].iter().any(|node| missing.contains(&format!("127.0.0.1:{}", node.port))), "{missing}");

    replica.redis.signal("-KILL");
    let primary = format!("Redis at 127.0.0.1:{}: 0 of the 1 replicas", cluster.nodes[1].port);
    until("the missing replica", async || {
        told(&settings(&cluster)).await.is_err_and(|missing| missing.contains(&primary))
    })
    .await;

    cluster.nodes[2].run(&["acl", "setuser", "cloakroom", "-wait"]);
    let refused = Redis::new(&settings(&cluster)).unwrap().ping().await.unwrap_err().source().unwrap().to_string();
    assert!(refused.contains(&format!("127.0.0.1:{}", cluster.nodes[2].port)), "{refused}");
    assert!(refused.contains("NOPERM") && refused.contains("'wait'"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_of_the_settings_may_be_replicas() {
    let cluster = Cluster::start_acknowledging(1, CALM);
    let [url, other] = [3, 4].map(|number: usize| format!("127.0.0.1:{}", cluster.nodes[number].port));
    let settings = RedisSettings {
        url: format!("redis://cloakroom:secret@{url}"),
        cluster: ClusterSettings { nodes: vec![other] },
        ..settings(&cluster)
    };
    let service = service_on(settings).await;

    for primary in 0..3 {
        stored_at(&service, primary).await;
    }
}

/// Short enough to fail often, and long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(3);
const WRITERS: usize = 32;
