//! Nodes that are none of the cluster: not any more, not yet, or not at all.

use std::time::Duration;

use cloakroom::store::{Applied, ClusterSettings, Error, Handle, Redis, RedisSettings, Store as _};
use cloakroom::token::SessionId;

use super::CALM;
use crate::conformance::fixtures::{MS, START, by_token, create, load_record, record, save, session_key, set, touch};
use crate::redis_store::{TIMEOUT, until};
use crate::support::cluster::{Cluster, grant};
use crate::support::ports::free_port;
use crate::support::redis::RedisServer;

/// The key of a session in the first partition, which is at the first node.
fn key() -> cloakroom::store::SessionKey {
    let mut key = session_key(1);
    key.id = SessionId::from_bytes([0; 16]);
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_without_its_cluster_has_no_sessions_to_miss() {
    let mut cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: TIMEOUT, ..cluster.settings() }).unwrap();
    create(&store, key(), &record()).await;

    let node = &mut cluster.nodes[0];
    node.redis.signal("-KILL");
    node.redis.stop();
    let alone = RedisServer::start_with(&format!("--port {}", node.port));
    grant(&alone);
    until("a login", async || alone.cli(&["info", "commandstats"]).contains("cmdstat_auth:")).await;

    for _ in 0..20 {
        let refused = store.load(&key()).await.expect_err("a session is not missing because a node is");
        assert!(matches!(refused, Error::Refused(_) | Error::Unavailable(_)), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_getting_its_first_slot_is_asked_and_is_no_primary_yet() {
    let mut cluster = Cluster::start(3, 0, CALM);
    cluster.add();
    let settings = RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() };
    let handle = Handle::from(Redis::new(&settings).unwrap());
    handle.create(&key(), &record()).await.unwrap();
    let keys = cluster.nodes[0].redis.keys();
    let session = keys.iter().find(|key| key.ends_with(&"0".repeat(32))).expect("the session is at the first node");
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", session]);

    cluster.begin_move(slot.trim(), &cluster.nodes[0], &cluster.nodes[3]);
    cluster.move_keys(&cluster.nodes[0], &cluster.nodes[3], &[session]);
    handle.load(&key()).await.unwrap().expect("it is at the node that is getting the slot");
    handle.touch(&key(), &touch(1, START + MS)).await.unwrap();
    let saved = handle.apply(&key(), &by_token(1, START + MS), &save(set("n", "1"))).await.unwrap();
    assert!(matches!(saved, Applied::Done(_)), "{saved:?}");
    let fields = cluster.nodes[3].redis.cli(&["hkeys", session]);
    assert!(fields.contains("MOVED"), "it has no slot yet: {fields}");
    let snapshot = handle.load(&key()).await.unwrap().expect("it was saved where it is");
    assert_eq!(snapshot.record.entries.to_map()["n"], b"1");

    assert_eq!(handle.read_server_info().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_the_settings_that_is_down_keeps_no_call_waiting() {
    let cluster = Cluster::start(3, 0, CALM);
    let nodes = vec![format!("127.0.0.1:{}", cluster.nodes[1].port)];
    let url = format!("redis://cloakroom:secret@127.0.0.1:{}", free_port());
    let timeout = Duration::from_secs(60);
    let settings = RedisSettings { url, cluster: ClusterSettings { nodes }, timeout, ..cluster.settings() };
    // Half of the nodes of the settings are enough only for a cluster that has the layout marker.
    create(&Redis::new(&cluster.settings()).unwrap(), key(), &record()).await;

    // The first call would fail after this time.
    load_record(&Redis::new(&settings).unwrap(), &key()).await;
}
