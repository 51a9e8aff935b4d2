//! Importing: a session that began elsewhere, and whose old credential may outlive it.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::session::{Changes, EndReason, Generation, Head, ImportedFrom, Record, Rotation, Verdict};
use cloakroom::store::{Created, IndexEntry, Redis, RedisSettings, Revocation, SessionKey, Store, SubjectRef, Write};
use cloakroom::types::Time;

use super::given::*;
use crate::support::redis::RedisServer;

/// How long the old credential is good: much longer than a session of [`IDLE`] and the memory of its end.
const OLD: Duration = Duration::from_secs(31 * 24 * 60 * 60);

const LOGOUT: Write = Write::End(EndReason::Destroyed);

fn imported_from() -> ImportedFrom {
    ImportedFrom { issued: Some(just_before(START)), until: START + OLD }
}

fn imported() -> Record {
    let record = record();
    Record { head: Head { imported_from: Some(imported_from()), ..record.head }, ..record }
}

fn anna() -> SubjectRef {
    SubjectRef { app: app("default"), subject: subject("anna") }
}

#[apply(every_store)]
async fn its_origin_stays_whatever_happens_to_a_session(store: Arc<impl Store>) {
    let full = full_record();
    let full = Record { head: Head { imported_from: Some(imported_from()), ..full.head }, ..full };
    let session_key = keep(&*store, session_key(1), &full).await;
    let mut origins = vec![snapshot(&*store, &session_key).await.head.imported_from];

    done(&*store, &session_key, &authority(1, START), &save(set("a", "2"))).await;
    origins.push(snapshot(&*store, &session_key).await.head.imported_from);
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");
    origins.push(snapshot(&*store, &session_key).await.head.imported_from);
    done(&*store, &session_key, &authority(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;
    origins.push(snapshot(&*store, &session_key).await.head.imported_from);
    done(&*store, &session_key, &authority(2, START), &save(Changes { clear: true, ..set("b", "1") })).await;
    origins.push(snapshot(&*store, &session_key).await.head.imported_from);
    done(&*store, &session_key, &authority(2, START), &LOGOUT).await;
    origins.push(snapshot(&*store, &session_key).await.head.imported_from);

    assert_eq!(origins, [Some(imported_from()); 6]);
}

#[apply(every_store)]
async fn the_reason_of_an_end_is_forgotten_before_the_end_itself(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &imported()).await;

    done(&*store, &session_key, &authority(1, START), &LOGOUT).await;

    let late = judged(&*store, &session_key, &authority(1, just_before(START + TOMBSTONE_TTL)), &LOGOUT).await;
    let later = judged(&*store, &session_key, &authority(1, START + TOMBSTONE_TTL), &LOGOUT).await;
    assert_eq!((late, later), (gone(EndReason::Destroyed), Verdict::Gone(None)));
    assert_eq!(snapshot(&*store, &session_key).await.head.purge_time(), START + OLD);
}

#[apply(every_store)]
async fn what_was_issued_before_the_app_was_revoked_does_not_come_in(store: Arc<impl Store>) {
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
    let elsewhere = store.create(&place_of("shop", 2), &issued(None)).await.expect("the store answers");
    let native = store.create(&session_key(6), &record()).await.expect("the store answers");

    assert_eq!((first, before, at, unknown), (Created::Stored, Created::Revoked, Created::Revoked, Created::Revoked));
    assert_eq!((after, elsewhere, native), (Created::Stored, Created::Stored, Created::Stored));
    assert_eq!(load(&*store, &session_key(2)).await, None);
    assert_eq!(snapshot(&*store, &session_key(5)).await.head.generation, Generation(2));
}

#[apply(every_store)]
async fn a_place_that_is_taken_is_occupied_though_the_app_was_revoked(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &imported()).await;
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let again = store.create(&session_key, &imported()).await.expect("the store answers");

    assert_eq!(again, Created::Occupied);
}

#[apply(every_store)]
async fn a_subject_s_revocation_is_remembered_beside_its_entries(store: Arc<impl Store>) {
    let revocation = |time, except| Revocation { time, until: START + OLD, except };
    let entry = IndexEntry { id: session_key(1).id, entered: START, until: START + SPAN };
    assert_eq!(store.revocation(&anna()).await.expect("the store answers"), None);

    store.revoke(&anna(), &revocation(START, Some(session_key(1).id))).await.expect("the store answers");
    store.enter(&anna(), &entry).await.expect("the store answers");
    let first = store.revocation(&anna()).await.expect("the store answers");
    store.revoke(&anna(), &revocation(START + MS, None)).await.expect("the store answers");
    store.forget(&anna(), session_key(1).id).await.expect("the store answers");

    assert_eq!(first, Some(revocation(START, Some(session_key(1).id))));
    assert_eq!(store.revocation(&anna()).await.expect("the store answers"), Some(revocation(START + MS, None)));
    assert_eq!(store.entries(&anna()).await.expect("the store answers"), []);
    let bert = SubjectRef { subject: subject("bert"), ..anna() };
    assert_eq!(store.revocation(&bert).await.expect("the store answers"), None);
}

/// What stores that expire nothing by themselves do about it.
mod swept {
    use super::*;

    #[apply(stores_that_sweep)]
    async fn an_imported_session_that_has_ended_is_swept_with_its_old_credential(store: Arc<impl Store>) {
        let ended = keep(&*store, session_key(1), &imported()).await;
        let idle = keep(&*store, session_key(2), &imported()).await;
        done(&*store, &ended, &authority(1, START), &LOGOUT).await;

        store.sweep(just_before(START + OLD)).await.expect("the store answers");
        assert_eq!(store.create(&ended, &imported()).await.expect("the store answers"), Created::Occupied);
        assert_eq!(store.create(&idle, &imported()).await.expect("the store answers"), Created::Occupied);

        store.sweep(START + OLD).await.expect("the store answers");
        assert_eq!(load(&*store, &ended).await, None);
        assert_eq!(load(&*store, &idle).await, None);
    }

    #[apply(stores_that_sweep)]
    async fn a_subject_s_revocation_is_swept_when_nothing_can_come_in_any_more(store: Arc<impl Store>) {
        let revocation = Revocation { time: START, until: START + OLD, except: None };
        store.revoke(&anna(), &revocation).await.expect("the store answers");

        store.sweep(just_before(START + OLD)).await.expect("the store answers");
        let before = store.revocation(&anna()).await.expect("the store answers");
        store.sweep(START + OLD).await.expect("the store answers");

        assert_eq!(before, Some(revocation));
        assert_eq!(store.revocation(&anna()).await.expect("the store answers"), None);
    }
}

#[tokio::test]
async fn redis_keeps_an_imported_session_for_as_long_as_its_old_credential_is_good() {
    let server = RedisServer::start();
    let store = Redis::new(&RedisSettings { url: server.url(), ..Default::default() }).unwrap();
    let key = |session_key: &SessionKey| {
        format!("cloakroom:{{{:02}}}:{}:{}", session_key.id.partition(), session_key.app, session_key.id)
    };
    let expire_time =
        |session_key| -> u64 { server.cli(&["--raw", "pexpiretime", &key(session_key)]).trim().parse().unwrap() };
    let session_key = keep(&store, session_key(1), &imported()).await;
    let mut times = vec![expire_time(&session_key)];

    store.touch(&session_key, &touch(1, START + MINUTE)).await.unwrap();
    times.push(expire_time(&session_key));
    done(&store, &session_key, &authority(1, START), &save(set("a", "2"))).await;
    times.push(expire_time(&session_key));
    done(&store, &session_key, &authority(1, START), &save(Changes { clear: true, ..set("b", "1") })).await;
    times.push(expire_time(&session_key));
    done(&store, &session_key, &authority(1, START), &LOGOUT).await;
    times.push(expire_time(&session_key));

    let until = START + OLD;
    assert!(times.iter().all(|time| (until..=until + MINUTE).contains(&Time::from_millis(*time))), "{times:?}");
}
