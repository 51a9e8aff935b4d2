//! A scan of every session of an app, in pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom::session::EndReason;
use cloakroom::store::{Cursor, Snapshot, Store, Write};
use cloakroom::token::SessionId;

use super::fixtures::*;
use crate::support::duplicates::each_listed;

const PAGE_SIZES: [usize; 3] = [7, 250, 1000];

async fn create_many(store: &impl Store) -> BTreeSet<SessionId> {
    let mut ids = BTreeSet::new();
    for n in 0..250 {
        ids.insert(create(store, session_key(n), &record()).await.id);
    }
    ids
}

async fn scan_ids(store: &impl Store, limit: usize) -> Vec<SessionId> {
    scan_all(store, "default", limit).await.into_iter().map(|(id, _)| id).collect()
}

/// Reads every page of a scan, each with about `limit` sessions.
async fn scan_all(store: &impl Store, name: &str, limit: usize) -> Vec<(SessionId, Snapshot)> {
    let (mut all, mut cursor) = (Vec::new(), Cursor::default());
    loop {
        let page = store.scan(&app(name), &cursor, limit).await.expect("the store answers");
        all.extend(page.sessions);
        match page.next {
            Some(next) => cursor = next,
            None => return all,
        }
    }
}

#[apply(stores_without_moves)]
async fn a_scan_returns_each_session_for_any_page_size(store: Arc<impl Store>) {
    let created = create_many(&*store).await;

    for limit in PAGE_SIZES {
        assert_eq!(each_listed(scan_ids(&*store, limit).await), created, "by pages of {limit}");
    }
}

#[apply(stores_without_redis)]
async fn a_scan_returns_no_session_twice(store: Arc<impl Store>) {
    let created = create_many(&*store).await;

    for limit in PAGE_SIZES {
        assert_eq!(scan_ids(&*store, limit).await.len(), created.len(), "by pages of {limit}");
    }
}

#[apply(every_store)]
async fn a_scan_returns_no_session_of_another_app(store: Arc<impl Store>) {
    let names = ["shop", "shop2", "shop-a", "shop_", "sho", "a-shop"];
    for (n, name) in (0..).zip(names) {
        for number in 0..=n {
            create(&*store, key_in(name, number), &record()).await;
        }
    }

    for (n, name) in (0..).zip(names) {
        for limit in [250, 1000] {
            let ids: BTreeSet<SessionId> = scan_all(&*store, name, limit).await.into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids, (0..=n).map(|number| session_key(number).id).collect(), "{name}");
        }
    }
}

#[apply(stores_without_moves)]
async fn a_scan_returns_the_same_as_a_load(store: Arc<impl Store>) {
    let live = create(&*store, session_key(1), &full_record()).await;
    let ended = create(&*store, session_key(2), &record()).await;
    commit(&*store, &ended, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let scanned = scan_all(&*store, "default", 10).await;

    assert_eq!(each_listed(scanned.iter().map(|(id, _)| *id).collect()), BTreeSet::from([live.id, ended.id]));
    for (id, snapshot) in scanned {
        let session_key = if id == live.id { &live } else { &ended };
        assert_eq!(Some(snapshot), load(&*store, session_key).await);
    }
}

#[apply(every_store)]
async fn a_scan_of_an_unknown_app_is_empty(store: Arc<impl Store>) {
    assert_eq!(scan_all(&*store, "default", 10).await, []);
}

#[apply(every_store)]
async fn an_invalid_cursor_does_no_harm(store: Arc<impl Store>) {
    create_session(&*store).await;

    for bytes in [vec![0xff; 40], vec![0; 40], b"default".to_vec(), vec![7]] {
        let page = store.scan(&app("default"), &Cursor(bytes), 10).await.expect("the store answers");
        assert!(page.sessions.len() <= 1);
    }
}
