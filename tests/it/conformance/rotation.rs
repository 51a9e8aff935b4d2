//! Rotation: the token changes, the session stays.

use std::sync::Arc;

use cloakroom::session::{
    Authority, Changes, Denial, Edit, EndReason, IDEMPOTENCY_TTL, Precondition, PreviousToken, Record, Rotation,
    SubjectChange, Version,
};
use cloakroom::store::{Store, Write};

use super::fixtures::*;

/// A save that replaces verifier 1 by 2 if the subject changes.
fn with_rotation(changes: Changes) -> Write {
    write(Edit { changes: Some(changes), rotation: Rotation::OnSubjectChange(privilege(1, 2, START)), ..edit() })
}

#[apply(every_store)]
async fn a_rotation_changes_the_token_and_nothing_else(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let replacement = privilege(1, 2, START);

    commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(replacement))).await;

    let mut expected = record();
    expected.head.verifier_hash = verifier_hash(2);
    expected.head.previous = Some(Box::new(replacement.previous));
    assert_eq!(load_record(&*store, &session_key).await, expected);
}

#[apply(every_store)]
async fn a_privilege_rotation_supersedes_the_old_token_at_once(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;

    let old = rejection(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
    commit(&*store, &session_key, &by_token(2, START), &save(set("a", "1"))).await;

    assert_eq!(old, gone(EndReason::Superseded));
}

#[apply(every_store)]
async fn a_renewal_leaves_the_old_token_its_grace(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let replacement = renewal(1, 2, START);
    commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(replacement))).await;

    let first = rejection(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
    let last = rejection(&*store, &session_key, &by_token(1, just_before(START + GRACE)), &save(set("a", "1"))).await;
    let after = rejection(&*store, &session_key, &by_token(1, START + GRACE), &save(set("a", "1"))).await;

    assert_eq!(first, Denial::Grace(replacement.previous));
    assert_eq!(last, Denial::Grace(replacement.previous));
    assert_eq!(after, gone(EndReason::Superseded));
}

#[apply(every_store)]
async fn after_a_rotation_by_an_older_token_the_replaced_one_can_end_the_session(store: Arc<impl Store>) {
    for fingerprint in [None, Some(fingerprint(1, 1))] {
        let session_key = create(&*store, session_key(u32::from(fingerprint.is_some())), &record()).await;
        commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
        let mut replacement = privilege(1, 3, START);
        replacement.previous.fingerprint = fingerprint;
        commit(&*store, &session_key, &by_token(2, START), &rotate(Rotation::Always(replacement))).await;

        let previous = PreviousToken { current: Some(verifier_hash(2)), ..replacement.previous };
        assert_eq!(load_record(&*store, &session_key).await.head.previous.as_deref(), Some(&previous));
        for old in [1, 2] {
            let saved = rejection(&*store, &session_key, &by_token(old, START), &save(set("a", "1"))).await;
            assert_eq!(saved, gone(EndReason::Superseded));
        }
        let ending = Precondition {
            authority: Authority::EndWithToken(verifier_hash(2)),
            ..by_token(2, just_before(START + IDEMPOTENCY_TTL))
        };
        commit(&*store, &session_key, &ending, &Write::End(EndReason::Destroyed)).await;
    }
}

#[apply(every_store)]
async fn only_one_previous_token_is_known(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
    let second = renewal(2, 3, START);
    commit(&*store, &session_key, &by_token(2, START), &rotate(Rotation::Always(second))).await;

    let first = rejection(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
    let previous = rejection(&*store, &session_key, &by_token(2, START), &save(set("a", "1"))).await;

    assert_eq!((first, previous), (gone(EndReason::Superseded), Denial::Grace(second.previous)));
}

#[apply(every_store)]
async fn the_previous_token_has_the_fingerprint_of_the_rotation(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let mut replacement = privilege(1, 2, START);
    replacement.previous.fingerprint = Some(fingerprint(1, 1));

    let precondition = Precondition { fingerprint: Some(fingerprint(1, 1)), ..by_token(1, START) };
    commit(&*store, &session_key, &precondition, &rotate(Rotation::Always(replacement))).await;

    assert_eq!(load_record(&*store, &session_key).await.head.previous.as_deref(), Some(&replacement.previous));
}

#[apply(every_store)]
async fn a_save_can_change_entries_and_rotate(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let rotation = Rotation::Always(privilege(1, 2, START));

    let save = write(Edit { changes: Some(set("a", "1")), rotation, ..edit() });
    let done = commit(&*store, &session_key, &by_token(1, START), &save).await;

    assert_eq!((done.head.verifier_hash, done.head.version, done.head.entry_count), (verifier_hash(2), Version(2), 2));
}

#[apply(every_store)]
async fn a_first_subject_rotates(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let done = commit(&*store, &session_key, &by_token(1, START), &with_rotation(login("anna"))).await;

    assert_eq!((done.head.verifier_hash, done.head.subject), (verifier_hash(2), Some(subject("anna"))));
}

#[apply(every_store)]
async fn another_subject_rotates(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;

    let changes = Changes { set: set("a", "1").set, ..login("bert") };
    let done = commit(&*store, &session_key, &by_token(1, START), &with_rotation(changes)).await;

    assert_eq!((done.head.verifier_hash, done.head.subject), (verifier_hash(2), Some(subject("bert"))));
}

#[apply(every_store)]
async fn removing_the_subject_rotates(store: Arc<impl Store>) {
    for (n, changes) in
        [Changes { subject: SubjectChange::Remove, ..Changes::default() }, Changes { clear: true, ..set("a", "1") }]
            .into_iter()
            .enumerate()
    {
        let session_key = create(&*store, session_key(u32::try_from(n).expect("it is small")), &full_record()).await;

        let done = commit(&*store, &session_key, &by_token(1, START), &with_rotation(changes)).await;

        assert_eq!((done.head.verifier_hash, done.head.subject), (verifier_hash(2), None));
    }
}

#[apply(every_store)]
async fn the_same_subject_again_rotates_nothing(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;

    let done = commit(&*store, &session_key, &by_token(1, START + HOUR / 2), &with_rotation(login("anna"))).await;

    let record = load_record(&*store, &session_key).await;
    assert_eq!(
        (done.head.verifier_hash, record.head.verifier_hash, record.head.previous),
        (verifier_hash(1), verifier_hash(1), None)
    );
    assert_eq!(done.head.authenticate_time, Some(START + HOUR / 2));
}

#[apply(every_store)]
async fn a_save_that_keeps_the_subject_rotates_nothing(store: Arc<impl Store>) {
    let with = create(&*store, session_key(1), &full_record()).await;
    let without = create(&*store, session_key(2), &record()).await;

    let with = commit(&*store, &with, &by_token(1, START), &with_rotation(set("a", "1"))).await;
    let without = commit(&*store, &without, &by_token(1, START), &with_rotation(set("a", "1"))).await;

    assert_eq!((with.head.verifier_hash, without.head.verifier_hash), (verifier_hash(1), verifier_hash(1)));
}

#[apply(every_store)]
async fn a_rotation_alone_leaves_an_empty_session_alive(store: Arc<impl Store>) {
    let mut empty = record();
    empty.entries = Default::default();
    (empty.head.entry_count, empty.head.entry_bytes) = (0, 0);
    let session_key = create(&*store, session_key(1), &empty).await;

    commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;

    let Record { head, .. } = load_record(&*store, &session_key).await;
    assert_eq!((head.end, head.verifier_hash), (None, verifier_hash(2)));
}
