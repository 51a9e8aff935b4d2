//! Applying: who may write, on what conditions, and in which order that is judged.

use std::sync::Arc;

use cloakroom::session::{Edit, EditError, EndReason, Limits, Precondition, Verdict, Version, WriteEffect};
use cloakroom::store::{Applied, Store, Write};

use super::given::*;

#[apply(every_store)]
async fn a_write_to_nothing_is_missing_and_creates_nothing(store: Arc<impl Store>) {
    let save = apply(&*store, &session_key(1), &authority(1, START), &save(set("a", "1"))).await;
    let end = apply(&*store, &session_key(1), &by_admin(START), &Write::End(EndReason::Revoked)).await;

    assert_eq!((save, end), (Applied::Missing, Applied::Missing));
    assert_eq!(load(&*store, &session_key(1)).await, None);
}

#[apply(every_store)]
async fn a_save_with_the_current_token_is_written(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let done = done(&*store, &session_key, &authority(1, START + MINUTE), &save(set("a", "1"))).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!((done.effect, done.counters.len()), (WriteEffect::Updated, 0));
    assert_eq!(done.head, snapshot.head.public_view());
    assert_eq!(snapshot.entries.iter().collect::<Vec<_>>(), [("a", b"1".as_slice()), ("lang", b"\"en\"")]);
    assert_eq!((snapshot.head.version, snapshot.head.access_time), (Version(2), START + MINUTE));
    assert_eq!((snapshot.head.entry_count, snapshot.head.entry_bytes), (2, 10));
}

#[apply(every_store)]
async fn a_token_that_was_never_the_sessions_is_superseded(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let verdict = judged(&*store, &session_key, &authority(9, START), &save(set("a", "1"))).await;

    assert_eq!(verdict, gone(EndReason::Superseded));
}

#[apply(every_store)]
async fn an_administrator_needs_no_token(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    done(&*store, &session_key, &by_admin(START), &save(set("a", "1"))).await;

    assert_eq!(snapshot(&*store, &session_key).await.head.version, Version(2));
}

#[apply(every_store)]
async fn an_etag_that_is_current_lets_the_save_go(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let precondition = Precondition { etag: Some(Version(1)), ..authority(1, START) };
    done(&*store, &session_key, &precondition, &save(set("a", "1"))).await;

    assert_eq!(snapshot(&*store, &session_key).await.head.version, Version(2));
}

#[apply(every_store)]
async fn an_etag_that_is_not_current_is_stale(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    for etag in [0, 2] {
        let precondition = Precondition { etag: Some(Version(etag)), ..authority(1, START) };
        assert_eq!(judged(&*store, &session_key, &precondition, &save(set("a", "1"))).await, Verdict::EtagMismatch);
    }
}

#[apply(every_store)]
async fn a_stale_end_ends_nothing(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let precondition = Precondition { etag: Some(Version(7)), ..by_admin(START) };
    let verdict = judged(&*store, &session_key, &precondition, &Write::End(EndReason::Revoked)).await;

    assert_eq!(verdict, Verdict::EtagMismatch);
}

#[apply(every_store)]
async fn every_save_is_a_version_and_a_touch_is_none(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    for n in 2..6 {
        let done = done(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
        assert_eq!(done.head.version, Version(n));
    }
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");

    assert_eq!(snapshot(&*store, &session_key).await.head.version, Version(5));
}

#[apply(every_store)]
async fn a_repeated_call_is_answered_before_its_end_is(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let precondition = Precondition { fingerprint: Some(fingerprint(1, 1)), ..authority(1, START) };
    done(&*store, &session_key, &precondition, &save(set("a", "1"))).await;
    done(&*store, &session_key, &by_admin(START), &Write::End(EndReason::Revoked)).await;

    let verdict = judged(&*store, &session_key, &precondition, &save(set("a", "1"))).await;

    assert_eq!(verdict, Verdict::Replay(WriteEffect::Updated));
}

#[apply(every_store)]
async fn an_end_is_told_before_a_stale_etag(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &by_admin(START), &Write::End(EndReason::Revoked)).await;

    let precondition = Precondition { etag: Some(Version(7)), ..authority(1, START) };

    assert_eq!(judged(&*store, &session_key, &precondition, &save(set("a", "1"))).await, gone(EndReason::Revoked));
}

#[apply(every_store)]
async fn a_stale_etag_is_told_before_a_limit(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let limits = Limits { max_entries: 1, max_bytes: 1024 };
    let save = write(Edit { changes: Some(set("a", "1")), limits, ..edit() });

    let precondition = Precondition { etag: Some(Version(7)), ..authority(1, START) };
    let stale = judged(&*store, &session_key, &precondition, &save).await;
    let refused = apply(&*store, &session_key, &authority(1, START), &save).await;

    assert_eq!(stale, Verdict::EtagMismatch);
    assert_eq!(refused, Applied::Refused(EditError::TooManyEntries { count: 2 }));
}
