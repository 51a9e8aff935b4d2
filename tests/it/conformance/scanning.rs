//! Scanning: every session of an app, by pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom::session::EndReason;
use cloakroom::store::{Cursor, Snapshot, Store, Write};
use cloakroom::token::SessionId;

use super::given::*;

/// All that a scan meets, by pages of about this size.
async fn scan(store: &impl Store, name: &str, limit: usize) -> Vec<(SessionId, Snapshot)> {
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

#[apply(every_store)]
async fn each_session_is_met_once_whatever_the_size_of_the_pages(store: Arc<impl Store>) {
    for n in 0..250 {
        keep(&*store, session_key(n), &record()).await;
    }
    let snapshot: BTreeSet<SessionId> = (0..250).map(|n| session_key(n).id).collect();

    for limit in [7, 250, 1000] {
        let ids: Vec<SessionId> = scan(&*store, "default", limit).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 250, "by pages of {limit}");
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), snapshot);
    }
}

#[apply(every_store)]
async fn other_apps_are_not_met(store: Arc<impl Store>) {
    let names = ["shop", "shop2", "shop-a", "shop_", "sho", "a-shop"];
    for (n, name) in (0..).zip(names) {
        for of_app in 0..=n {
            keep(&*store, place_of(name, of_app), &record()).await;
        }
    }

    for (n, name) in (0..).zip(names) {
        for limit in [250, 1000] {
            let ids: BTreeSet<SessionId> = scan(&*store, name, limit).await.into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids, (0..=n).map(|of_app| session_key(of_app).id).collect(), "{name}");
        }
    }
}

#[apply(every_store)]
async fn a_scan_meets_what_a_load_does(store: Arc<impl Store>) {
    let living = keep(&*store, session_key(1), &full_record()).await;
    let ended = keep(&*store, session_key(2), &record()).await;
    done(&*store, &ended, &authority(1, START), &Write::End(EndReason::Destroyed)).await;
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let met = scan(&*store, "default", 10).await;

    assert_eq!(met.len(), 2);
    for (id, snapshot) in met {
        let session_key = if id == living.id { &living } else { &ended };
        assert_eq!(Some(snapshot), load(&*store, session_key).await);
    }
}

#[apply(every_store)]
async fn an_app_without_sessions_has_none(store: Arc<impl Store>) {
    assert_eq!(scan(&*store, "default", 10).await, []);
}

#[apply(every_store)]
async fn what_is_no_cursor_harms_nothing(store: Arc<impl Store>) {
    one_session(&*store).await;

    for bytes in [vec![0xff; 40], vec![0; 40], b"default".to_vec(), vec![7]] {
        let page = store.scan(&app("default"), &Cursor(bytes), 10).await.expect("the store answers");
        assert!(page.sessions.len() <= 1);
    }
}
