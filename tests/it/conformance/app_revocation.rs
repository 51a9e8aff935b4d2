//! The revocation of an app ends every session of it, and no session of another app.

use std::sync::Arc;

use cloakroom::session::{EndReason, Generation, Head};
use cloakroom::store::{Store, Write};

use super::fixtures::*;

#[apply(stores_without_moves)]
async fn a_revocation_ends_every_session_that_was_created_before(store: Arc<impl Store>) {
    let first = create(&*store, session_key(1), &record()).await;
    let second = create(&*store, session_key(2), &record()).await;

    store.revoke_app(&app("default"), START).await.expect("the store answers");

    for session_key in [first, second] {
        let snapshot = load(&*store, &session_key).await.expect("there is a record");
        let Head { generation, end, .. } = snapshot.record.head;
        // One that moved afterwards is a tombstone.
        let is_revoked = end.map_or(generation == Generation(0), |end| end.reason == EndReason::Revoked);
        assert!(is_revoked && snapshot.generation == Generation(1), "{generation:?} {end:?}");
        let verdict = rejection(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
        assert_eq!(verdict, gone(EndReason::Revoked));
    }
}

#[apply(every_store_and_move)]
async fn a_session_that_is_created_afterwards_is_alive(store: Arc<impl Store>) {
    store.revoke_app(&app("default"), START).await.expect("the store answers");
    let session_key = create_session(&*store).await;

    commit(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
}

#[apply(every_store_and_move)]
async fn a_revocation_leaves_other_apps_alone(store: Arc<impl Store>) {
    let session_key = create(&*store, key_in("shop", 1), &record()).await;

    store.revoke_app(&app("default"), START).await.expect("the store answers");

    assert_eq!(load(&*store, &session_key).await.map(|snapshot| snapshot.generation), Some(Generation(0)));
    commit(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
}

#[apply(stores_without_moves)]
async fn every_revocation_counts_up_the_generation(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    for n in 1..4 {
        store.revoke_app(&app("default"), START).await.expect("the store answers");
        assert_eq!(load(&*store, &session_key).await.map(|snapshot| snapshot.generation), Some(Generation(n)));
    }
}

#[apply(stores_without_moves)]
async fn a_tombstone_keeps_its_own_reason(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;

    store.revoke_app(&app("default"), START).await.expect("the store answers");

    assert_eq!(
        rejection(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await,
        gone(EndReason::Destroyed)
    );
}
