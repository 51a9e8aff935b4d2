//! Scans, while slots are moved between their pages.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::store::{Cursor, Redis, RedisSettings, SessionKey, Store as _};
use cloakroom::token::SessionId;
use tokio::task::block_in_place;

use super::CALM;
use crate::conformance::fixtures::{app, create, record};
use crate::support::cluster::{Cluster, until};

/// Session number n of one of 1,024 partitions.
fn key(partition: u16, n: u8) -> SessionKey {
    let mut id = [n; 16];
    id[..2].copy_from_slice(&(partition << 6).to_be_bytes());
    SessionKey { app: app("default"), id: SessionId::from_bytes(id) }
}

/// Starts three primaries with these sessions.
async fn start(keys: impl IntoIterator<Item = SessionKey>) -> (Cluster, Redis, BTreeSet<SessionId>) {
    // A node that is started again has its sessions.
    let cluster = Cluster::start_with(3, 0, CALM, |_| "--appendonly yes".to_owned());
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).unwrap();
    let mut ids = BTreeSet::new();
    for key in keys {
        ids.insert(key.id);
        create(&store, key, &record()).await;
    }
    (cluster, store, ids)
}

/// Scans all sessions, and does something after each page but the last.
async fn scan(store: &Redis, mut between: impl FnMut(usize)) -> BTreeSet<SessionId> {
    let (mut ids, mut cursor) = (BTreeSet::new(), Cursor::default());
    for page in 0..MOST_PAGES {
        let read = store.scan(&app("default"), &cursor, PAGE).await.unwrap();
        ids.extend(read.sessions.into_iter().map(|(id, _)| id));
        match read.next {
            Some(next) => cursor = next,
            None => return ids,
        }
        block_in_place(|| between(page));
    }
    panic!("it begins again and again")
}

/// The slot of a key, and the key of the store at this node.
fn slot_and_key(cluster: &Cluster, node: usize, id: &SessionId) -> (String, String) {
    let redis = &cluster.nodes[node].redis;
    let key = redis.cli(&["--raw", "keys", &format!("*:{id}")]).trim().to_owned();
    (redis.cli(&["cluster", "keyslot", &key]).trim().to_owned(), key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_ends_and_has_every_session_while_slots_are_moved_between_its_pages() {
    let (cluster, store, ids) = start((0..1024).map(|partition| key(partition, 1))).await;

    let found = scan(&store, |page| {
        let number = u16::try_from(page / 2).unwrap();
        let (from, to, partition) = if page % 2 == 0 { (2, 0, 1022 - number) } else { (0, 2, 1 + number) };
        let (slot, _) = slot_and_key(&cluster, from, &key(partition, 1).id);
        cluster.move_slot(&slot, &cluster.nodes[from], &cluster.nodes[to]);
    })
    .await;

    assert_eq!(found, ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_has_every_session_of_slots_that_are_being_moved_all_the_time() {
    // The first and the last partition, and some others so that there are pages.
    let sessions = (0..40).flat_map(|n| [key(0, n), key(1023, n)]);
    let (cluster, store, ids) = start(sessions.chain((1..1023).map(|partition| key(partition, 1)))).await;
    let moves = [(0, 2, 0), (2, 0, 1023)];
    for (from, to, partition) in moves {
        let (slot, _) = slot_and_key(&cluster, from, &key(partition, 0).id);
        cluster.begin_move(&slot, &cluster.nodes[from], &cluster.nodes[to]);
    }

    let found = scan(&store, |page| {
        for (from, to, partition) in moves {
            let Some(n) = u8::try_from(page).ok().filter(|n| *n < 40) else { return };
            let (_, key) = slot_and_key(&cluster, from, &key(partition, n).id);
            cluster.move_keys(&cluster.nodes[from], &cluster.nodes[to], &[&key]);
        }
    })
    .await;

    assert_eq!(found, ids);
}

/// The buckets of SCAN are in another order at each process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_has_every_session_although_nodes_are_started_again_between_its_pages() {
    let (mut cluster, store, ids) = start((0..1024).map(|partition| key(partition, 1))).await;

    let found = scan(&store, |page| {
        if page == 2 {
            for node in &mut cluster.nodes {
                node.redis.stop();
                node.restart();
            }
            let is_ok = |info: String| info.contains("cluster_state:ok");
            until("the cluster", || cluster.nodes.iter().all(|node| is_ok(node.redis.cli(&["cluster", "info"]))));
        }
    })
    .await;

    assert_eq!(found, ids);
}

/// About how many keys of a node a page looks at.
const PAGE: usize = 50;

/// Many more than there are without moves.
const MOST_PAGES: usize = 400;
