//! The revocation of an app, which is done at each partition: how often nodes are asked, and what a node does to it that
//! is down or refuses.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::grpc::wire::RevokeAppRequest;
use cloakroom::store::{ClusterSettings, Error, Redis, RedisMode, RedisSettings, SessionKey, Store as _};
use cloakroom::token::{Key, SessionId};
use cloakroom::types::with_causes;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;
use tonic::Code;

use super::CALM;
use super::scripted::{Choices, Faults, NODES, ScriptedCluster};
use crate::conformance::fixtures::{MS, START, app, create, record};
use crate::process::child::Process;
use crate::redis_store::until;
use crate::support::calls::{reason, refused};
use crate::support::cluster::{Cluster, Node};

/// A session in the middle of what this node of three has.
fn key_at(node: usize) -> SessionKey {
    let mut id = [0; 16];
    id[0] = u8::try_from((2 * node + 1) * 256 / 6).unwrap();
    SessionKey { app: app("default"), id: SessionId::from_bytes(id) }
}

/// No node answers before all nodes were sent all of it, so a second round trip would have to wait for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_of_an_app_takes_one_round_trip_to_all_nodes_at_once() {
    let cluster = ScriptedCluster::start(Choices::new(0), Faults::default(), 1024, &[]).await;
    let nodes = cluster.ports[1..].iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let settings = RedisSettings {
        mode: RedisMode::Cluster,
        url: format!("redis://127.0.0.1:{}", cluster.ports[0]),
        cluster: ClusterSettings { nodes },
        timeout: Duration::from_secs(20),
        ..Default::default()
    };
    let store = Arc::new(Redis::new(&settings).unwrap());
    // The nodes are known then, and this runtime has no connection, as that of AdminService has none at first.
    let (other, key) = (Arc::clone(&store), key_at(0));
    let load = move || Runtime::new().unwrap().block_on(async { other.load(&key).await.unwrap() });
    assert_eq!(spawn_blocking(load).await.unwrap(), None);
    let before = cluster.received();

    cluster.answer_no_script_before(before.script_calls + PARTITIONS);
    store.revoke_app(&app("default"), START + MS).await.unwrap();

    let received = cluster.received();
    assert_eq!(received.loads_of_scripts - before.loads_of_scripts, NODES, "one for what each node was sent");
    assert_eq!(received.script_calls - before.script_calls, PARTITIONS);
    assert_eq!(cluster.runs(&(START + MS).millis().to_string()), [1; PARTITIONS]);
}

/// How many partitions of the app have a generation at this node.
fn revoked(node: &Node) -> usize {
    node.redis.cli(&["--raw", "keys", "*:default:generation"]).matches(":generation").count()
}

/// What the error has to say.
fn in_part(done: usize) -> String {
    format!("at least {done} of {PARTITIONS} partitions of the app are revoked, repeat the call to revoke the others")
}

/// Whether a session is one that has not been revoked.
async fn is_live(store: &Redis, key: &SessionKey) -> bool {
    let snapshot = store.load(key).await.unwrap().expect("its record stays until it expires");
    snapshot.generation == snapshot.record.head.generation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_a_node_refuses_says_how_many_partitions_it_has_reached_and_is_finished_by_another() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).unwrap();
    for node in 0..3 {
        create(&store, key_at(node), &record()).await;
    }

    cluster.nodes[1].run(&["config", "set", "min-replicas-to-write", "1"]);
    let refused = store.revoke_app(&app("default"), START).await.unwrap_err();

    let done = revoked(&cluster.nodes[0]) + revoked(&cluster.nodes[2]);
    assert!([682, 683].contains(&done) && revoked(&cluster.nodes[1]) == 0, "{done} at two nodes of three");
    let cause =
        |error: &Error| matches!(error, Error::RevokedInPart { cause, .. } if matches!(**cause, Error::Refused(_)));
    assert!(cause(&refused), "{refused:?}");
    let text = with_causes(&refused);
    assert!(text.contains(&in_part(done)) && text.contains("NOREPLICAS"), "{text}");
    let address = format!("127.0.0.1:{}", cluster.nodes[1].port);
    assert!(text.contains(&address), "{text} does not name {address}");
    for node in 0..3 {
        assert_eq!(is_live(&store, &key_at(node)).await, node == 1, "node {node}");
    }

    cluster.nodes[1].run(&["config", "set", "min-replicas-to-write", "0"]);
    store.revoke_app(&app("default"), START).await.unwrap();
    assert_eq!(cluster.nodes.iter().map(revoked).sum::<usize>(), PARTITIONS);
    for node in 0..3 {
        assert!(!is_live(&store, &key_at(node)).await, "node {node}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_while_a_node_is_down_is_unavailable_and_tells_its_progress_and_is_finished_by_another() {
    let mut cluster = Cluster::start(3, 0, CALM);
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let config = format!(
        "[log]\nformat = 'json'\n[apps.default]\nkeys = ['{}']\n[store]\nkind = 'redis'\n[store.redis]\n\
         mode = 'cluster'\ntimeout = '20s'\nurl = '{}'\n[server]\ncall_timeout = '60s'\n",
        Key::generate(),
        cluster.settings().url,
    );
    let process = Process::start(&config, &[], &[]).await;
    let revoke = async || process.admin().revoke_app(RevokeAppRequest { app: "default".to_owned() }).await;

    cluster.nodes[2].redis.signal("-KILL");
    cluster.nodes[2].redis.stop();
    let unavailable = refused(revoke().await);

    assert_eq!(reason(&unavailable), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    let done = revoked(&cluster.nodes[0]) + revoked(&cluster.nodes[1]);
    assert!([682, 683].contains(&done), "{done} at two nodes of three");
    assert_eq!(unavailable.message(), in_part(done));
    process.await_output(&in_part(done), 1).await;

    cluster.nodes[2].restart();
    until("the revocation", async || revoke().await.is_ok()).await;
    assert_eq!(cluster.nodes.iter().map(revoked).sum::<usize>(), PARTITIONS);
}

/// How many each app has.
const PARTITIONS: usize = 1024;
