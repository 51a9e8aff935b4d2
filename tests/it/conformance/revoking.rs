//! Revoking an app: every session of it ends, and none of any other.

use std::sync::Arc;

use cloakroom::session::{EndReason, Generation};
use cloakroom::store::{Store, Write};

use super::given::*;

#[apply(every_store)]
async fn a_revoked_app_has_ended_all_that_was_created_before(store: Arc<impl Store>) {
    let first = keep(&*store, session_key(1), &record()).await;
    let second = keep(&*store, session_key(2), &record()).await;

    store.revoke_app(&app("default"), START).await.expect("the store answers");

    for session_key in [first, second] {
        let snapshot = load(&*store, &session_key).await.expect("it is kept");
        assert_eq!((snapshot.record.head.generation, snapshot.generation), (Generation(0), Generation(1)));
        let verdict = judged(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
        assert_eq!(verdict, gone(EndReason::Revoked));
    }
}

#[apply(every_store)]
async fn what_is_created_afterwards_lives(store: Arc<impl Store>) {
    store.revoke_app(&app("default"), START).await.expect("the store answers");
    let session_key = one_session(&*store).await;

    done(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
}

#[apply(every_store)]
async fn another_app_is_left_alone(store: Arc<impl Store>) {
    let session_key = keep(&*store, place_of("shop", 1), &record()).await;

    store.revoke_app(&app("default"), START).await.expect("the store answers");

    assert_eq!(load(&*store, &session_key).await.map(|snapshot| snapshot.generation), Some(Generation(0)));
    done(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
}

#[apply(every_store)]
async fn every_revocation_is_a_generation(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    for n in 1..4 {
        store.revoke_app(&app("default"), START).await.expect("the store answers");
        assert_eq!(load(&*store, &session_key).await.map(|snapshot| snapshot.generation), Some(Generation(n)));
    }
}

#[apply(every_store)]
async fn a_tombstone_keeps_its_own_reason(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &Write::End(EndReason::Destroyed)).await;

    store.revoke_app(&app("default"), START).await.expect("the store answers");

    assert_eq!(
        judged(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await,
        gone(EndReason::Destroyed)
    );
}
