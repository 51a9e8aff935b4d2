//! A session without entries ends, unless it is permanent or the save keeps it.

use std::sync::Arc;

use cloakroom::session::{Changes, Edit, End, EndReason, PermanentChange, Rotation, Subject, WhenEmpty, WriteEffect};
use cloakroom::store::Store;

use super::fixtures::*;

#[apply(every_store)]
async fn a_save_that_leaves_no_entries_ends_the_session(store: Arc<impl Store>) {
    for (n, changes) in [(1, unset("lang")), (2, clear())] {
        let session_key = create(&*store, session_key(n), &record()).await;

        let done = commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(changes)).await;

        assert_eq!(done.effect, WriteEffect::Deleted);
        assert_eq!(done.head.end, Some(End { reason: EndReason::Emptied, time: START + MINUTE }));
        assert_eq!(load_record(&*store, &session_key).await.head.public_view(), done.head);
    }
}

#[apply(every_store)]
async fn a_subject_alone_keeps_a_session_without_entries(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let changes = Changes { unset: vec!["lang".to_owned()], ..login("anna") };

    let done = commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

    let subject = done.head.subject.as_ref().map(Subject::as_str);
    assert_eq!((done.effect, subject, done.head.entry_count), (WriteEffect::Updated, Some("anna"), 0));
}

#[apply(every_store)]
async fn a_save_can_keep_the_session_that_it_empties(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let save = write(Edit { changes: Some(unset("lang")), when_empty: WhenEmpty::Keep, ..edit() });
    let done = commit(&*store, &session_key, &by_token(1, START), &save).await;

    assert_eq!((done.effect, done.head.end, done.head.entry_count), (WriteEffect::Updated, None, 0));
}

#[apply(every_store)]
async fn a_permanent_session_is_kept_when_it_is_empty(store: Arc<impl Store>) {
    for (n, permanent) in [(1, true), (2, false)] {
        let session_key = create(&*store, session_key(n), &record()).await;
        let changes = Changes { permanent: PermanentChange::Set(permanent), ..unset("lang") };

        let done = commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

        assert_eq!((done.effect, done.head.permanent), (WriteEffect::Updated, Some(permanent)));
    }
}

#[apply(every_store)]
async fn an_empty_session_ends_when_it_is_no_longer_permanent(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let changes = Changes { permanent: PermanentChange::Set(true), ..unset("lang") };
    commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

    let changes = Changes { permanent: PermanentChange::Unset, ..Changes::default() };
    let done = commit(&*store, &session_key, &by_token(1, START), &save(changes)).await;

    assert_eq!(done.effect, WriteEffect::Deleted);
}

#[apply(every_store)]
async fn a_save_that_ends_the_session_does_not_rotate(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let rotation = Rotation::Always(privilege(1, 2, START));

    let save = write(Edit { changes: Some(unset("lang")), rotation, ..edit() });
    let done = commit(&*store, &session_key, &by_token(1, START), &save).await;

    assert_eq!((done.effect, done.head.verifier_hash), (WriteEffect::Deleted, verifier_hash(1)));
}
