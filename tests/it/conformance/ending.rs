//! Ending: who may end a session, what is left of it, and that it stays ended.

use std::sync::Arc;

use cloakroom::session::{
    Context, End, EndReason, Entries, Head, Precondition, Record, Rotation, Verdict, WriteEffect,
};
use cloakroom::store::{SessionKey, Store, Write};

use super::given::*;

const LOGOUT: Write = Write::End(EndReason::Destroyed);

/// A session whose token went from proof 1 to 2 to 3.
async fn rotated_twice(store: &impl Store) -> SessionKey {
    let session_key = one_session(store).await;
    done(store, &session_key, &authority(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
    done(store, &session_key, &authority(2, START), &rotate(Rotation::Always(privilege(2, 3, START)))).await;
    session_key
}

#[apply(every_store)]
async fn the_current_token_ends_the_session(store: Arc<impl Store>) {
    let session_key = rotated_twice(&*store).await;

    let done = done(&*store, &session_key, &ending(3, START + MINUTE), &LOGOUT).await;

    assert_eq!(done.effect, WriteEffect::Deleted);
    let end = End { reason: EndReason::Destroyed, time: START + MINUTE };
    assert_eq!(snapshot(&*store, &session_key).await.head.end, Some(end));
}

#[apply(every_store)]
async fn the_previous_token_ends_the_session_for_ten_minutes(store: Arc<impl Store>) {
    let session_key = rotated_twice(&*store).await;

    let late = judged(&*store, &session_key, &ending(2, START + 10 * MINUTE), &LOGOUT).await;
    done(&*store, &session_key, &ending(2, just_before(START + 10 * MINUTE)), &LOGOUT).await;

    assert_eq!(late, gone(EndReason::Superseded));
    assert!(snapshot(&*store, &session_key).await.head.end.is_some());
}

#[apply(every_store)]
async fn an_older_token_ends_nothing(store: Arc<impl Store>) {
    let session_key = rotated_twice(&*store).await;

    let verdict = judged(&*store, &session_key, &ending(1, START), &LOGOUT).await;

    assert_eq!(verdict, gone(EndReason::Superseded));
}

#[apply(every_store)]
async fn an_administrator_ends_the_session(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    done(&*store, &session_key, &by_admin(START), &Write::End(EndReason::Revoked)).await;

    let end = End { reason: EndReason::Revoked, time: START };
    assert_eq!(snapshot(&*store, &session_key).await.head.end, Some(end));
}

#[apply(every_store)]
async fn a_tombstone_holds_reason_proofs_and_marks_but_no_data(store: Arc<impl Store>) {
    let mut before = full_record();
    before.head.previous = Some(Box::new(renewal(4, 1, START).previous));
    let session_key = keep(&*store, session_key(1), &before).await;
    let precondition = Precondition { fingerprint: Some(fingerprint(1, 1)), ..authority(1, START) };
    done(&*store, &session_key, &precondition, &save(set("a", "2"))).await;
    let before = snapshot(&*store, &session_key).await.head;

    let precondition = Precondition { fingerprint: Some(fingerprint(2, 1)), ..authority(1, START + MINUTE) };
    let ended = done(&*store, &session_key, &precondition, &LOGOUT).await.head;

    let snapshot = snapshot(&*store, &session_key).await;
    let head = Head {
        end: Some(End { reason: EndReason::Destroyed, time: START + MINUTE }),
        idempotency: snapshot.head.idempotency.clone(),
        subject: None,
        permanent: None,
        authenticate_time: None,
        context: Context::default(),
        entry_count: 0,
        entry_bytes: 0,
        ..before
    };
    assert_eq!(
        head.idempotency.iter().map(|record| record.effect).collect::<Vec<_>>(),
        [WriteEffect::Updated, WriteEffect::Deleted]
    );
    assert_eq!(ended, head.public_view());
    assert_eq!(snapshot, Record { head, entries: Entries::default() });
}

#[apply(every_store)]
async fn nothing_is_written_to_an_ended_session(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &LOGOUT).await;
    let rotation = rotate(Rotation::Always(privilege(1, 2, START)));

    for precondition in [authority(1, START), authority(9, START), by_admin(START)] {
        for write in [&save(set("a", "1")), &rotation, &Write::End(EndReason::Revoked)] {
            assert_eq!(judged(&*store, &session_key, &precondition, write).await, gone(EndReason::Destroyed));
        }
    }
}

#[apply(every_store)]
async fn an_end_has_a_reason_for_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &LOGOUT).await;

    let last =
        judged(&*store, &session_key, &authority(1, just_before(START + TOMBSTONE_TTL)), &save(set("a", "1"))).await;
    let after = judged(&*store, &session_key, &authority(1, START + TOMBSTONE_TTL), &save(set("a", "1"))).await;

    assert_eq!((last, after), (gone(EndReason::Destroyed), Verdict::Gone(None)));
}
