//! Imported sessions, whose legacy credential may be valid for longer than the session.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::session::{Changes, Denial, EndReason, Generation, Head, ImportedFrom, Record, Rotation};
use cloakroom::store::{
    Created, Cursor, IndexEntry, Redis, RedisSettings, Revocation, SessionKey, Store, SubjectRef, Write,
};
use cloakroom::types::Time;

use super::fixtures::*;
use crate::support::redis::RedisServer;

/// How long the legacy credential is valid: much longer than a session of [`IDLE`] and its tombstone.
const LEGACY: Duration = Duration::from_secs(31 * 24 * 60 * 60);

const LOGOUT: Write = Write::End(EndReason::Destroyed);

fn imported_from() -> ImportedFrom {
    ImportedFrom { issued: Some(just_before(START)), until: START + LEGACY }
}

fn imported() -> Record {
    let record = record();
    Record { head: Head { imported_from: Some(imported_from()), ..record.head }, ..record }
}

fn anna() -> SubjectRef {
    SubjectRef { app: app("default"), subject: subject("anna") }
}

#[apply(every_store_and_move)]
async fn no_write_changes_where_a_session_was_imported_from(store: Arc<impl Store>) {
    let full = full_record();
    let full = Record { head: Head { imported_from: Some(imported_from()), ..full.head }, ..full };
    let session_key = create(&*store, session_key(1), &full).await;
    let mut origins = vec![load_record(&*store, &session_key).await.head.imported_from];

    commit(&*store, &session_key, &by_token(1, START), &save(set("a", "2"))).await;
    origins.push(load_record(&*store, &session_key).await.head.imported_from);
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");
    origins.push(load_record(&*store, &session_key).await.head.imported_from);
    commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;
    origins.push(load_record(&*store, &session_key).await.head.imported_from);
    commit(&*store, &session_key, &by_token(2, START), &save(Changes { clear: true, ..set("b", "1") })).await;
    origins.push(load_record(&*store, &session_key).await.head.imported_from);
    commit(&*store, &session_key, &by_token(2, START), &LOGOUT).await;
    origins.push(load_record(&*store, &session_key).await.head.imported_from);

    assert_eq!(origins, [Some(imported_from()); 6]);
}

#[apply(every_store_and_move)]
async fn the_reason_of_an_end_is_forgotten_before_its_tombstone(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &imported()).await;

    commit(&*store, &session_key, &by_token(1, START), &LOGOUT).await;

    let late = rejection(&*store, &session_key, &by_token(1, just_before(START + TOMBSTONE_TTL)), &LOGOUT).await;
    let later = rejection(&*store, &session_key, &by_token(1, START + TOMBSTONE_TTL), &LOGOUT).await;
    assert_eq!((late, later), (gone(EndReason::Destroyed), Denial::Gone(None)));
    assert_eq!(load_record(&*store, &session_key).await.head.purge_time(), START + LEGACY);
}

#[apply(stores_without_moves)]
async fn a_credential_that_was_issued_before_a_revocation_is_not_imported(store: Arc<impl Store>) {
    let issued = |issued: Option<Time>| {
        let mut record = imported();
        record.head.imported_from = Some(ImportedFrom { issued, ..imported_from() });
        record
    };
    let first = store.create(&session_key(1), &issued(None)).await.expect("the store answers");
    store.revoke_app(&app("default"), START).await.expect("the store answers");
    store.revoke_app(&app("default"), START.before(MINUTE)).await.expect("the store answers");

    let before = store.create(&session_key(2), &issued(Some(just_before(START)))).await.expect("the store answers");
    let at = store.create(&session_key(3), &issued(Some(START))).await.expect("the store answers");
    let unknown = store.create(&session_key(4), &issued(None)).await.expect("the store answers");
    let after = store.create(&session_key(5), &issued(Some(START + MS))).await.expect("the store answers");
    let elsewhere = store.create(&key_in("shop", 2), &issued(None)).await.expect("the store answers");
    let native = store.create(&session_key(6), &record()).await.expect("the store answers");

    assert_eq!((first, before, at, unknown), (Created::Stored, Created::Revoked, Created::Revoked, Created::Revoked));
    assert_eq!((after, elsewhere, native), (Created::Stored, Created::Stored, Created::Stored));
    assert_eq!(load(&*store, &session_key(2)).await, None);
    assert_eq!(load_record(&*store, &session_key(5)).await.head.generation, Generation(2));
}

#[apply(every_store_and_move)]
async fn an_occupied_key_stays_occupied_after_a_revocation(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &imported()).await;
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let again = store.create(&session_key, &imported()).await.expect("the store answers");

    assert_eq!(again, Created::Occupied);
}

#[apply(every_store_and_move)]
async fn the_revocation_of_a_subject_is_stored_apart_from_its_index(store: Arc<impl Store>) {
    let revocation = |time, except| Revocation { time, until: START + LEGACY, except };
    let entry = IndexEntry { id: session_key(1).id, add_time: START, until: START + SPAN };
    assert_eq!(store.load_revocation(&anna()).await.expect("the store answers"), None);

    store.record_revocation(&anna(), &revocation(START, Some(session_key(1).id))).await.expect("the store answers");
    store.add_to_index(&anna(), &entry).await.expect("the store answers");
    let first = store.load_revocation(&anna()).await.expect("the store answers");
    store.record_revocation(&anna(), &revocation(START + MS, None)).await.expect("the store answers");
    store.remove_session_from_index(&anna(), session_key(1).id).await.expect("the store answers");

    assert_eq!(first, Some(revocation(START, Some(session_key(1).id))));
    assert_eq!(store.load_revocation(&anna()).await.expect("the store answers"), Some(revocation(START + MS, None)));
    assert_eq!(store.list_index(&anna(), &Cursor::default()).await.expect("the store answers").entries, []);
    let bert = SubjectRef { subject: subject("bert"), ..anna() };
    assert_eq!(store.load_revocation(&bert).await.expect("the store answers"), None);
}

mod sweep {
    use super::*;

    #[apply(stores_without_redis)]
    async fn a_tombstone_is_swept_when_the_legacy_credential_expires(store: Arc<impl Store>) {
        let ended = create(&*store, session_key(1), &imported()).await;
        let idle = create(&*store, session_key(2), &imported()).await;
        commit(&*store, &ended, &by_token(1, START), &LOGOUT).await;

        store.sweep(just_before(START + LEGACY)).await.expect("the store answers");
        assert_eq!(store.create(&ended, &imported()).await.expect("the store answers"), Created::Occupied);
        assert_eq!(store.create(&idle, &imported()).await.expect("the store answers"), Created::Occupied);

        store.sweep(START + LEGACY).await.expect("the store answers");
        assert_eq!(load(&*store, &ended).await, None);
        assert_eq!(load(&*store, &idle).await, None);
    }

    #[apply(stores_without_redis)]
    async fn the_revocation_of_a_subject_is_swept_when_imports_end(store: Arc<impl Store>) {
        let revocation = Revocation { time: START, until: START + LEGACY, except: None };
        store.record_revocation(&anna(), &revocation).await.expect("the store answers");

        store.sweep(just_before(START + LEGACY)).await.expect("the store answers");
        let before = store.load_revocation(&anna()).await.expect("the store answers");
        store.sweep(START + LEGACY).await.expect("the store answers");

        assert_eq!(before, Some(revocation));
        assert_eq!(store.load_revocation(&anna()).await.expect("the store answers"), None);
    }
}

#[tokio::test]
async fn redis_keeps_an_imported_session_until_its_legacy_credential_expires() {
    let server = RedisServer::start();
    let store = Redis::new(&RedisSettings { url: server.url(), ..Default::default() }).unwrap();
    let key = |session_key: &SessionKey| {
        format!("cloakroom:{{{:02}}}:{}:{}", session_key.id.as_bytes()[0] >> 2, session_key.app, session_key.id)
    };
    let expire_time =
        |session_key| -> u64 { server.cli(&["--raw", "pexpiretime", &key(session_key)]).trim().parse().unwrap() };
    let session_key = create(&store, session_key(1), &imported()).await;
    let mut times = vec![expire_time(&session_key)];

    store.touch(&session_key, &touch(1, START + MINUTE)).await.unwrap();
    times.push(expire_time(&session_key));
    commit(&store, &session_key, &by_token(1, START), &save(set("a", "2"))).await;
    times.push(expire_time(&session_key));
    commit(&store, &session_key, &by_token(1, START), &save(Changes { clear: true, ..set("b", "1") })).await;
    times.push(expire_time(&session_key));
    commit(&store, &session_key, &by_token(1, START), &LOGOUT).await;
    times.push(expire_time(&session_key));

    let until = START + LEGACY;
    assert!(times.iter().all(|time| (until..=until + MINUTE).contains(&Time::from_millis(*time))), "{times:?}");
}
