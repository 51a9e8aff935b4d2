//! A store that has no room: it refuses what would grow it, and ends sessions at the first try.

use std::sync::Arc;

use cloakroom::session::EndReason;
use cloakroom::store::{Created, Embedded, EmbeddedSettings, Error, Revocation, Store, SubjectRef, Write};

use super::fixtures::*;
use crate::support::tmpfs::Tmpfs;

/// Fills a store, and ends sessions in every way. All of them were created before.
pub(crate) async fn a_full_store_ends_sessions(store: &Arc<impl Store>) {
    let session_keys = (1..=ENDS).map(session_key).collect::<Vec<_>>();
    for session_key in &session_keys {
        create(&**store, session_key.clone(), &record()).await;
    }
    let other_app = create(&**store, key_in("other", 1), &record()).await;
    let subject_ref = SubjectRef { app: app("default"), subject: subject("anna") };
    let mut large = full_record();
    large.head.context = context(&"x".repeat(200));
    let is_full = async |n| matches!(store.create(&key_in("filler", n), &large).await, Err(Error::Full(_)));
    let mut filler = 0;
    while !is_full(filler).await {
        filler += 1;
        assert!(filler < 1_000_000, "the store is never full");
    }

    for session_key in &session_keys {
        commit(&**store, session_key, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    }
    let revocation = Revocation { time: START, until: START + HOUR, except: None };
    store.record_revocation(&subject_ref, &revocation).await.expect("a revocation needs no room");
    store.revoke_app(&app("other"), START).await.expect("a revocation needs no room");

    for session_key in &session_keys {
        assert!(load_record(&**store, session_key).await.head.end.is_some());
    }
    let verdict = rejection(&**store, &other_app, &by_token(1, START), &save(set("a", "1"))).await;
    assert_eq!(verdict, gone(EndReason::Revoked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_ends_sessions_on_a_full_disk() {
    let Some(disk) = Tmpfs::mount("6m") else { return };
    let settings = EmbeddedSettings { path: disk.path().join("data"), ..EmbeddedSettings::default() };
    let store = Arc::new(Embedded::open(&settings).expect("an empty folder opens"));

    a_full_store_ends_sessions(&store).await;

    assert!(matches!(store.ping().await, Err(Error::Full(_))), "a ping says that no write works");
    drop(store);
    let store = Embedded::open(&settings).expect("a full store opens");
    assert!(load_record(&store, &session_key(ENDS)).await.head.end.is_some());
    disk.resize("64m");
    let deadline = std::time::Instant::now() + MINUTE;
    while store.ping().await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the store is full for ever");
    }
    assert_eq!(store.create(&session_key(ENDS + 1), &record()).await.expect("there is room"), Created::Stored);
}

/// How many sessions are ended.
const ENDS: u32 = 300;
