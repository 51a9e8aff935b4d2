//! Importing: a session that began elsewhere, and whose old credential may outlive it.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::clock::Time;
use cloakroom::session::{Changes, EndReason, Generation, Head, Origin, Record, Rotation, Verdict};
use cloakroom::store::{Created, Entry, Owner, Place, Redis, RedisSettings, Revocation, Store, Write};

use super::given::*;
use crate::support::redis::RedisServer;

/// How long the old credential is good: much longer than a session of [`IDLE`] and the memory of its end.
const OLD: Duration = Duration::from_secs(31 * 24 * 60 * 60);

const LOGOUT: Write = Write::End(EndReason::Destroyed);

fn origin() -> Origin {
    Origin { issued: Some(just_before(START)), until: START + OLD }
}

fn imported() -> Record {
    let record = record();
    Record { head: Head { origin: Some(origin()), ..record.head }, ..record }
}

fn anna() -> Owner {
    Owner { app: app("default"), subject: subject("anna") }
}

async fn its_origin_stays_whatever_happens_to_a_session(store: Arc<impl Store>) {
    let full = full_record();
    let full = Record { head: Head { origin: Some(origin()), ..full.head }, ..full };
    let place = keep(&*store, place(1), &full).await;
    let mut origins = vec![kept(&*store, &place).await.head.origin];

    done(&*store, &place, &by(1, START), &save(set("a", "2"))).await;
    origins.push(kept(&*store, &place).await.head.origin);
    store.touch(&place, &touch(1, START + MINUTE)).await.expect("the store answers");
    origins.push(kept(&*store, &place).await.head.origin);
    done(&*store, &place, &by(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;
    origins.push(kept(&*store, &place).await.head.origin);
    done(&*store, &place, &by(2, START), &save(Changes { clear: true, ..set("b", "1") })).await;
    origins.push(kept(&*store, &place).await.head.origin);
    done(&*store, &place, &by(2, START), &LOGOUT).await;
    origins.push(kept(&*store, &place).await.head.origin);

    assert_eq!(origins, [Some(origin()); 6]);
}

async fn the_reason_of_an_end_is_forgotten_before_the_end_itself(store: Arc<impl Store>) {
    let place = keep(&*store, place(1), &imported()).await;

    done(&*store, &place, &by(1, START), &LOGOUT).await;

    let late = judged(&*store, &place, &by(1, just_before(START + MEMORY)), &LOGOUT).await;
    let later = judged(&*store, &place, &by(1, START + MEMORY), &LOGOUT).await;
    assert_eq!((late, later), (gone(EndReason::Destroyed), Verdict::Gone(None)));
    assert_eq!(kept(&*store, &place).await.head.forget_time(), START + OLD);
}

async fn what_was_issued_before_the_app_was_revoked_does_not_come_in(store: Arc<impl Store>) {
    let issued = |issued: Option<Time>| {
        let mut record = imported();
        record.head.origin = Some(Origin { issued, ..origin() });
        record
    };
    let first = store.create(&place(1), &issued(None)).await.expect("the store answers");
    store.revoke_app(&app("default"), START).await.expect("the store answers");
    store.revoke_app(&app("default"), START.before(MINUTE)).await.expect("the store answers");

    let before = store.create(&place(2), &issued(Some(just_before(START)))).await.expect("the store answers");
    let at = store.create(&place(3), &issued(Some(START))).await.expect("the store answers");
    let unknown = store.create(&place(4), &issued(None)).await.expect("the store answers");
    let after = store.create(&place(5), &issued(Some(START + MS))).await.expect("the store answers");
    let elsewhere = store.create(&place_of("shop", 2), &issued(None)).await.expect("the store answers");
    let native = store.create(&place(6), &record()).await.expect("the store answers");

    assert_eq!((first, before, at, unknown), (Created::Stored, Created::Revoked, Created::Revoked, Created::Revoked));
    assert_eq!((after, elsewhere, native), (Created::Stored, Created::Stored, Created::Stored));
    assert_eq!(load(&*store, &place(2)).await, None);
    assert_eq!(kept(&*store, &place(5)).await.head.generation, Generation(2));
}

async fn a_place_that_is_taken_is_occupied_though_the_app_was_revoked(store: Arc<impl Store>) {
    let place = keep(&*store, place(1), &imported()).await;
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let again = store.create(&place, &imported()).await.expect("the store answers");

    assert_eq!(again, Created::Occupied);
}

async fn a_subject_s_revocation_is_remembered_beside_its_entries(store: Arc<impl Store>) {
    let revocation = |time, except| Revocation { time, until: START + OLD, except };
    let entry = Entry { id: place(1).id, entered: START, until: START + SPAN };
    assert_eq!(store.revocation(&anna()).await.expect("the store answers"), None);

    store.revoke(&anna(), &revocation(START, Some(place(1).id))).await.expect("the store answers");
    store.enter(&anna(), &entry).await.expect("the store answers");
    let first = store.revocation(&anna()).await.expect("the store answers");
    store.revoke(&anna(), &revocation(START + MS, None)).await.expect("the store answers");
    store.forget(&anna(), place(1).id).await.expect("the store answers");

    assert_eq!(first, Some(revocation(START, Some(place(1).id))));
    assert_eq!(store.revocation(&anna()).await.expect("the store answers"), Some(revocation(START + MS, None)));
    assert_eq!(store.entries(&anna()).await.expect("the store answers"), []);
    let bert = Owner { subject: subject("bert"), ..anna() };
    assert_eq!(store.revocation(&bert).await.expect("the store answers"), None);
}

facts_of_every_store!(
    its_origin_stays_whatever_happens_to_a_session,
    the_reason_of_an_end_is_forgotten_before_the_end_itself,
    what_was_issued_before_the_app_was_revoked_does_not_come_in,
    a_place_that_is_taken_is_occupied_though_the_app_was_revoked,
    a_subject_s_revocation_is_remembered_beside_its_entries,
);

/// What stores that expire nothing by themselves do about it.
mod swept {
    use super::*;

    async fn an_imported_session_that_has_ended_is_swept_with_its_old_credential(store: Arc<impl Store>) {
        let ended = keep(&*store, place(1), &imported()).await;
        let idle = keep(&*store, place(2), &imported()).await;
        done(&*store, &ended, &by(1, START), &LOGOUT).await;

        store.sweep(just_before(START + OLD)).await.expect("the store answers");
        assert_eq!(store.create(&ended, &imported()).await.expect("the store answers"), Created::Occupied);
        assert_eq!(store.create(&idle, &imported()).await.expect("the store answers"), Created::Occupied);

        store.sweep(START + OLD).await.expect("the store answers");
        assert_eq!(load(&*store, &ended).await, None);
        assert_eq!(load(&*store, &idle).await, None);
    }

    async fn a_subject_s_revocation_is_swept_when_nothing_can_come_in_any_more(store: Arc<impl Store>) {
        let revocation = Revocation { time: START, until: START + OLD, except: None };
        store.revoke(&anna(), &revocation).await.expect("the store answers");

        store.sweep(just_before(START + OLD)).await.expect("the store answers");
        let before = store.revocation(&anna()).await.expect("the store answers");
        store.sweep(START + OLD).await.expect("the store answers");

        assert_eq!(before, Some(revocation));
        assert_eq!(store.revocation(&anna()).await.expect("the store answers"), None);
    }

    facts_of_stores_that_sweep!(
        an_imported_session_that_has_ended_is_swept_with_its_old_credential,
        a_subject_s_revocation_is_swept_when_nothing_can_come_in_any_more,
    );
}

#[tokio::test]
async fn redis_keeps_an_imported_session_for_as_long_as_its_old_credential_is_good() {
    let server = RedisServer::start();
    let store = Redis::new(&RedisSettings { url: server.url(), ..Default::default() }).unwrap();
    let key = |place: &Place| format!("cloakroom:{{{:02}}}:{}:{}", place.id.partition(), place.app, place.id);
    let expire_time = |place| -> u64 { server.cli(&["--raw", "pexpiretime", &key(place)]).trim().parse().unwrap() };
    let place = keep(&store, place(1), &imported()).await;
    let mut times = vec![expire_time(&place)];

    store.touch(&place, &touch(1, START + MINUTE)).await.unwrap();
    times.push(expire_time(&place));
    done(&store, &place, &by(1, START), &save(set("a", "2"))).await;
    times.push(expire_time(&place));
    done(&store, &place, &by(1, START), &save(Changes { clear: true, ..set("b", "1") })).await;
    times.push(expire_time(&place));
    done(&store, &place, &by(1, START), &LOGOUT).await;
    times.push(expire_time(&place));

    let until = START + OLD;
    assert!(times.iter().all(|time| (until..=until + MINUTE).contains(&Time::from_millis(*time))), "{times:?}");
}
