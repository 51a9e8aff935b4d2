//! A slot that is moved by SETSLOT and MIGRATE, while its sessions are opened and saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::session::Changes;
use cloakroom::store::{Applied, Redis, RedisSettings, SessionKey, Store as _};
use cloakroom::token::SessionId;
use tokio::task::JoinSet;

use super::CALM;
use crate::conformance::fixtures::{START, app, apply, by_token, create, load, record, save, set};
use crate::support::cluster::Cluster;
use crate::support::environment::number;

/// A session in the partition whose slot is moved.
fn key(n: u64) -> SessionKey {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    SessionKey { app: app("default"), id: SessionId::from_bytes(id) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_moved_fails_no_open_and_no_plain_save() {
    let cluster = Cluster::start(3, 0, CALM);
    let store =
        Arc::new(Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).unwrap());
    let sessions = number("CLOAKROOM_TEST_MOVED_SESSIONS").unwrap_or(300_u64);
    for n in 0..sessions {
        create(&*store, key(n), &record()).await;
    }

    let (stop, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (store, stop, calls) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&calls));
        tasks.spawn(async move {
            let mut n = task;
            while !stop.load(Ordering::Relaxed) {
                let key = key(n % sessions);
                load(&*store, &key).await.expect("the session is there, wherever its slot is");
                let changes: Changes = set("n", &n.to_string());
                let saved = apply(&*store, &key, &by_token(1, START), &save(changes)).await;
                assert!(matches!(saved, Applied::Done(_)), "{saved:?}");
                calls.fetch_add(1, Ordering::Relaxed);
                n += 8;
            }
        });
    }
    // Create, login and logout need keys that may be at the other node. They wait.
    let creator = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut n = sessions;
            while !stop.load(Ordering::Relaxed) {
                create(&*store, key(n), &record()).await;
                n += 1;
            }
            n
        })
    };

    // Partition 0 of 1,024 has its tag, and so its slot.
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    let nodes = [0, 1, 0].map(|number| &cluster.nodes[number]);
    for [from, to] in [[nodes[0], nodes[1]], [nodes[1], nodes[2]]] {
        let before = calls.load(Ordering::Relaxed);
        tokio::task::block_in_place(|| cluster.move_slot(slot.trim(), from, to));
        crate::redis_store::until("calls after the move", async || calls.load(Ordering::Relaxed) > before + 20).await;
    }
    stop.store(true, Ordering::Relaxed);

    tasks.join_all().await;
    let end = creator.await.unwrap();
    assert!(end > sessions, "no session was created");
    for n in 0..end {
        load(&*store, &key(n)).await.expect("it has moved along");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_revoked_while_its_slot_is_moved_stays_so() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).unwrap();
    for n in 0..2 {
        create(&store, key(n), &record()).await;
    }
    store.revoke_app(&app("default"), START).await.unwrap();
    create(&store, key(2), &record()).await;

    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    let record_key = format!("cloakroom:{{460}}:default:{}", key(1).id);
    cluster.begin_move(slot.trim(), &cluster.nodes[0], &cluster.nodes[1]);
    cluster.move_keys(&cluster.nodes[0], &cluster.nodes[1], &[&record_key]);

    for n in [0, 1] {
        let saved = apply(&store, &key(n), &by_token(1, START), &save(set("n", "1"))).await;
        assert!(matches!(saved, Applied::Denied(_)), "{saved:?}");
    }
    let saved = apply(&store, &key(2), &by_token(1, START), &save(set("n", "1"))).await;
    assert!(matches!(saved, Applied::Done(_)), "{saved:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_of_an_app_follows_a_slot_that_has_moved_while_another_node_hangs() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(5), ..cluster.settings() }).unwrap();
    create(&store, key(0), &record()).await;
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    tokio::task::block_in_place(|| cluster.move_slot(slot.trim(), &cluster.nodes[0], &cluster.nodes[1]));
    cluster.nodes[2].redis.signal("-STOP");

    store.revoke_app(&app("default"), START).await.expect_err("a node hangs");

    let saved = apply(&store, &key(0), &by_token(1, START), &save(set("n", "1"))).await;
    assert!(matches!(saved, Applied::Denied(_)), "{saved:?}");
}
