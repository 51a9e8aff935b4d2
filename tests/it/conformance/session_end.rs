//! The end of a session: who may end it, what the tombstone holds, and that it stays ended.

use std::sync::Arc;

use cloakroom::session::{
    Denial, End, EndReason, Entries, Head, Precondition, Record, RequestContext, Rotation, WriteEffect,
};
use cloakroom::store::{SessionKey, Store, Write};

use super::fixtures::*;

const LOGOUT: Write = Write::End(EndReason::Destroyed);

/// A session whose verifier was replaced twice: 1, 2, 3.
async fn rotated_twice(store: &impl Store) -> SessionKey {
    let session_key = create_session(store).await;
    commit(store, &session_key, &by_token(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
    commit(store, &session_key, &by_token(2, START), &rotate(Rotation::Always(privilege(2, 3, START)))).await;
    session_key
}

#[apply(every_store_and_move)]
async fn the_current_token_ends_the_session(store: Arc<impl Store>) {
    let session_key = rotated_twice(&*store).await;

    let done = commit(&*store, &session_key, &end_by_token(3, START + MINUTE), &LOGOUT).await;

    assert_eq!(done.effect, WriteEffect::Deleted);
    let end = End { reason: EndReason::Destroyed, time: START + MINUTE };
    assert_eq!(load_record(&*store, &session_key).await.head.end, Some(end));
}

#[apply(every_store_and_move)]
async fn the_previous_token_ends_the_session_for_ten_minutes(store: Arc<impl Store>) {
    let session_key = rotated_twice(&*store).await;

    let late = rejection(&*store, &session_key, &end_by_token(2, START + 10 * MINUTE), &LOGOUT).await;
    commit(&*store, &session_key, &end_by_token(2, just_before(START + 10 * MINUTE)), &LOGOUT).await;

    assert_eq!(late, gone(EndReason::Superseded));
    assert!(load_record(&*store, &session_key).await.head.end.is_some());
}

#[apply(every_store_and_move)]
async fn an_older_token_ends_nothing(store: Arc<impl Store>) {
    let session_key = rotated_twice(&*store).await;

    let verdict = rejection(&*store, &session_key, &end_by_token(1, START), &LOGOUT).await;

    assert_eq!(verdict, gone(EndReason::Superseded));
}

#[apply(every_store_and_move)]
async fn an_administrator_ends_the_session(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    commit(&*store, &session_key, &by_admin(START), &Write::End(EndReason::Revoked)).await;

    let end = End { reason: EndReason::Revoked, time: START };
    assert_eq!(load_record(&*store, &session_key).await.head.end, Some(end));
}

#[apply(every_store_and_move)]
async fn a_tombstone_keeps_tokens_and_idempotency_records_but_no_data(store: Arc<impl Store>) {
    let mut before = full_record();
    before.head.previous = Some(Box::new(renewal(4, 1, START).previous));
    let session_key = create(&*store, session_key(1), &before).await;
    let precondition = Precondition { fingerprint: Some(fingerprint(1, 1)), ..by_token(1, START) };
    commit(&*store, &session_key, &precondition, &save(set("a", "2"))).await;
    let before = load_record(&*store, &session_key).await.head;

    let precondition = Precondition { fingerprint: Some(fingerprint(2, 1)), ..by_token(1, START + MINUTE) };
    let ended = commit(&*store, &session_key, &precondition, &LOGOUT).await.head;

    let record = load_record(&*store, &session_key).await;
    let head = Head {
        end: Some(End { reason: EndReason::Destroyed, time: START + MINUTE }),
        idempotency: record.head.idempotency.clone(),
        subject: None,
        permanent: None,
        authenticate_time: None,
        context: RequestContext::default(),
        entry_count: 0,
        entry_bytes: 0,
        ..before
    };
    assert_eq!(
        head.idempotency.iter().map(|record| record.effect).collect::<Vec<_>>(),
        [WriteEffect::Updated, WriteEffect::Deleted]
    );
    assert_eq!(ended, head.public_view());
    assert_eq!(record, Record { head, entries: Entries::default() });
}

#[apply(every_store_and_move)]
async fn nothing_is_written_to_an_ended_session(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &LOGOUT).await;
    let rotation = rotate(Rotation::Always(privilege(1, 2, START)));

    for precondition in [by_token(1, START), by_token(9, START), by_admin(START)] {
        for write in [&save(set("a", "1")), &rotation, &Write::End(EndReason::Revoked)] {
            assert_eq!(rejection(&*store, &session_key, &precondition, write).await, gone(EndReason::Destroyed));
        }
    }
}

#[apply(every_store_and_move)]
async fn the_reason_of_an_end_is_known_for_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &LOGOUT).await;

    let last =
        rejection(&*store, &session_key, &by_token(1, just_before(START + TOMBSTONE_TTL)), &save(set("a", "1"))).await;
    let after = rejection(&*store, &session_key, &by_token(1, START + TOMBSTONE_TTL), &save(set("a", "1"))).await;

    assert_eq!((last, after), (gone(EndReason::Destroyed), Denial::Gone(None)));
}
