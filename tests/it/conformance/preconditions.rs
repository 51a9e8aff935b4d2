//! Preconditions of a write: token, etag, request id and limits, and the order in which they are checked.

use std::sync::Arc;

use cloakroom::session::{Denial, Edit, EditError, EndReason, Limits, Precondition, Version, WriteEffect};
use cloakroom::store::{Applied, Store, Write};

use super::fixtures::*;

#[apply(every_store)]
async fn a_write_to_a_missing_session_creates_nothing(store: Arc<impl Store>) {
    let save = apply(&*store, &session_key(1), &by_token(1, START), &save(set("a", "1"))).await;
    let end = apply(&*store, &session_key(1), &by_admin(START), &Write::End(EndReason::Revoked)).await;

    assert_eq!((save, end), (Applied::Missing, Applied::Missing));
    assert_eq!(load(&*store, &session_key(1)).await, None);
}

#[apply(every_store)]
async fn a_save_with_the_current_token_is_written(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let done = commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(set("a", "1"))).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!((done.effect, done.counters.len()), (WriteEffect::Updated, 0));
    assert_eq!(done.head, record.head.public_view());
    assert_eq!(record.entries.iter().collect::<Vec<_>>(), [("a", b"1".as_slice()), ("lang", b"\"en\"")]);
    assert_eq!((record.head.version, record.head.access_time), (Version(2), START + MINUTE));
    assert_eq!((record.head.entry_count, record.head.entry_bytes), (2, 10));
}

#[apply(every_store)]
async fn a_foreign_token_is_superseded(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let verdict = rejection(&*store, &session_key, &by_token(9, START), &save(set("a", "1"))).await;

    assert_eq!(verdict, gone(EndReason::Superseded));
}

#[apply(every_store)]
async fn an_administrator_needs_no_token(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    commit(&*store, &session_key, &by_admin(START), &save(set("a", "1"))).await;

    assert_eq!(load_record(&*store, &session_key).await.head.version, Version(2));
}

#[apply(every_store)]
async fn a_save_with_the_current_etag_is_written(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let precondition = Precondition { etag: Some(Version(1)), ..by_token(1, START) };
    commit(&*store, &session_key, &precondition, &save(set("a", "1"))).await;

    assert_eq!(load_record(&*store, &session_key).await.head.version, Version(2));
}

#[apply(every_store)]
async fn a_save_with_another_etag_is_rejected(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    for etag in [0, 2] {
        let precondition = Precondition { etag: Some(Version(etag)), ..by_token(1, START) };
        assert_eq!(rejection(&*store, &session_key, &precondition, &save(set("a", "1"))).await, Denial::EtagMismatch);
    }
}

#[apply(every_store)]
async fn an_end_with_another_etag_is_rejected(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let precondition = Precondition { etag: Some(Version(7)), ..by_admin(START) };
    let verdict = rejection(&*store, &session_key, &precondition, &Write::End(EndReason::Revoked)).await;

    assert_eq!(verdict, Denial::EtagMismatch);
}

#[apply(every_store)]
async fn every_save_counts_up_the_version_and_a_touch_does_not(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    for n in 2..6 {
        let done = commit(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
        assert_eq!(done.head.version, Version(n));
    }
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");

    assert_eq!(load_record(&*store, &session_key).await.head.version, Version(5));
}

#[apply(every_store)]
async fn a_repeated_request_id_is_checked_before_the_end(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let precondition = Precondition { fingerprint: Some(fingerprint(1, 1)), ..by_token(1, START) };
    commit(&*store, &session_key, &precondition, &save(set("a", "1"))).await;
    commit(&*store, &session_key, &by_admin(START), &Write::End(EndReason::Revoked)).await;

    let verdict = rejection(&*store, &session_key, &precondition, &save(set("a", "1"))).await;

    assert_eq!(verdict, Denial::Replay(WriteEffect::Updated));
}

#[apply(every_store)]
async fn the_end_is_checked_before_the_etag(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_admin(START), &Write::End(EndReason::Revoked)).await;

    let precondition = Precondition { etag: Some(Version(7)), ..by_token(1, START) };

    assert_eq!(rejection(&*store, &session_key, &precondition, &save(set("a", "1"))).await, gone(EndReason::Revoked));
}

#[apply(every_store)]
async fn the_etag_is_checked_before_the_limits(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let limits = Limits { max_entries: 1, max_bytes: 1024 };
    let save = write(Edit { changes: Some(set("a", "1")), limits, ..edit() });

    let precondition = Precondition { etag: Some(Version(7)), ..by_token(1, START) };
    let stale = rejection(&*store, &session_key, &precondition, &save).await;
    let refused = apply(&*store, &session_key, &by_token(1, START), &save).await;

    assert_eq!(stale, Denial::EtagMismatch);
    assert_eq!(refused, Applied::Refused(EditError::TooManyEntries { count: 2 }));
}
