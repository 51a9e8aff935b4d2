//! A repeated request_id is one call, for 10 minutes and the last 16 calls.

use std::sync::Arc;

use cloakroom::session::{Denial, Edit, EndReason, Limits, Precondition, Rotation, Version, WriteEffect};
use cloakroom::store::{Applied, Store, Write};

use super::fixtures::*;

fn request(n: u8, now: cloakroom::types::Time) -> Precondition {
    Precondition { fingerprint: Some(fingerprint(n, 1)), ..by_token(1, now) }
}

#[apply(every_store_and_move)]
async fn a_repeated_save_is_one_save(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &request(1, START), &save(increment("n", 5))).await;

    let verdict = rejection(&*store, &session_key, &request(1, START + MINUTE), &save(increment("n", 5))).await;

    assert_eq!(verdict, Denial::Replay(WriteEffect::Updated));
    assert_eq!(load_record(&*store, &session_key).await.head.version, Version(2));
}

#[apply(every_store_and_move)]
async fn a_request_id_with_another_request_is_rejected(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &request(1, START), &save(set("a", "1"))).await;

    let other = Precondition { fingerprint: Some(fingerprint(1, 2)), ..by_token(1, START) };

    assert_eq!(rejection(&*store, &session_key, &other, &save(set("a", "2"))).await, Denial::RequestIdReused);
}

#[apply(every_store_and_move)]
async fn another_request_id_with_the_same_request_is_another_call(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    for n in 1..=2 {
        commit(&*store, &session_key, &request(n, START), &save(increment("n", 5))).await;
    }

    assert_eq!(load_record(&*store, &session_key).await.head.version, Version(3));
}

#[apply(every_store_and_move)]
async fn calls_without_a_request_id_are_never_a_repetition(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    for _ in 0..2 {
        commit(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
    }

    assert!(load_record(&*store, &session_key).await.head.idempotency.is_empty());
}

#[apply(every_store_and_move)]
async fn an_idempotency_record_counts_for_ten_minutes(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &request(1, START), &save(set("a", "1"))).await;

    let last =
        rejection(&*store, &session_key, &request(1, just_before(START + 10 * MINUTE)), &save(set("a", "1"))).await;
    commit(&*store, &session_key, &request(1, START + 10 * MINUTE), &save(set("a", "1"))).await;

    assert_eq!(last, Denial::Replay(WriteEffect::Updated));
    assert_eq!(load_record(&*store, &session_key).await.head.version, Version(3));
}

#[apply(every_store_and_move)]
async fn a_session_remembers_its_last_sixteen_calls(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    for n in 0..16 {
        commit(&*store, &session_key, &request(n, START), &save(set("a", "1"))).await;
    }
    let first = rejection(&*store, &session_key, &request(0, START), &save(set("a", "1"))).await;

    commit(&*store, &session_key, &request(16, START), &save(set("a", "1"))).await;

    let second = rejection(&*store, &session_key, &request(1, START), &save(set("a", "1"))).await;
    assert_eq!((first, second), (Denial::Replay(WriteEffect::Updated), Denial::Replay(WriteEffect::Updated)));
    assert_eq!(load_record(&*store, &session_key).await.head.idempotency.iter().count(), 16);
    commit(&*store, &session_key, &request(0, START), &save(set("a", "1"))).await;
}

#[apply(every_store_and_move)]
async fn a_refused_save_leaves_no_idempotency_record(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let limits = Limits { max_entries: 1, max_bytes: 1024 };
    let too_many = write(Edit { changes: Some(set("a", "1")), limits, ..edit() });

    let refused = apply(&*store, &session_key, &request(1, START), &too_many).await;

    assert!(matches!(refused, Applied::Refused(_)));
    commit(&*store, &session_key, &request(1, START), &save(set("a", "1"))).await;
}

#[apply(every_store_and_move)]
async fn a_repeated_rotation_is_one_rotation(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let rotation = rotate(Rotation::Always(privilege(1, 2, START)));
    commit(&*store, &session_key, &request(1, START), &rotation).await;

    let again = rotate(Rotation::Always(privilege(1, 3, START)));
    let verdict = rejection(&*store, &session_key, &request(1, START), &again).await;

    assert_eq!(verdict, Denial::Replay(WriteEffect::Updated));
    assert_eq!(load_record(&*store, &session_key).await.head.verifier_hash, verifier_hash(2));
}

#[apply(every_store_and_move)]
async fn a_repeated_end_is_one_end(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &request(1, START), &Write::End(EndReason::Destroyed)).await;

    let verdict = rejection(&*store, &session_key, &request(1, START), &Write::End(EndReason::Destroyed)).await;

    assert_eq!(verdict, Denial::Replay(WriteEffect::Deleted));
}

#[apply(every_store_and_move)]
async fn a_repeated_save_that_emptied_the_session_is_a_deletion_again(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let first = commit(&*store, &session_key, &request(1, START), &save(unset("lang"))).await;

    let verdict = rejection(&*store, &session_key, &request(1, START), &save(unset("lang"))).await;

    assert_eq!(first.effect, WriteEffect::Deleted);
    assert_eq!(verdict, Denial::Replay(WriteEffect::Deleted));
}
