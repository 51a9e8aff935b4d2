//! Rotating: the token changes, the session stays.

use std::sync::Arc;

use cloakroom::session::{
    Authority, Changes, Edit, EndReason, IDEMPOTENCY_TTL, Precondition, Previous, Record, Rotation, SubjectChange,
    Verdict, Version,
};
use cloakroom::store::{Store, Write};

use super::given::*;

/// A save that offers proof 2 as the successor of proof 1.
fn offering(changes: Changes) -> Write {
    write(Edit { changes: Some(changes), rotation: Rotation::OnSubjectChange(privilege(1, 2, START)), ..edit() })
}

#[apply(every_store)]
async fn a_rotation_changes_the_token_and_nothing_else(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let replacement = privilege(1, 2, START);

    done(&*store, &session_key, &authority(1, START), &rotate(Rotation::Always(replacement))).await;

    let mut expected = record();
    expected.head.verifier_hash = verifier_hash(2);
    expected.head.previous = Some(Box::new(replacement.previous));
    assert_eq!(snapshot(&*store, &session_key).await, expected);
}

#[apply(every_store)]
async fn a_privilege_rotation_supersedes_the_old_token_at_once(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;

    let old = judged(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
    done(&*store, &session_key, &authority(2, START), &save(set("a", "1"))).await;

    assert_eq!(old, gone(EndReason::Superseded));
}

#[apply(every_store)]
async fn a_renewal_leaves_the_old_token_its_grace(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let replacement = renewal(1, 2, START);
    done(&*store, &session_key, &authority(1, START), &rotate(Rotation::Always(replacement))).await;

    let first = judged(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
    let last = judged(&*store, &session_key, &authority(1, just_before(START + GRACE)), &save(set("a", "1"))).await;
    let after = judged(&*store, &session_key, &authority(1, START + GRACE), &save(set("a", "1"))).await;

    assert_eq!(first, Verdict::Grace(replacement.previous));
    assert_eq!(last, Verdict::Grace(replacement.previous));
    assert_eq!(after, gone(EndReason::Superseded));
}

#[apply(every_store)]
async fn a_rotation_that_an_older_token_asks_for_remembers_the_current_one_for_an_end(store: Arc<impl Store>) {
    for asked in [None, Some(fingerprint(1, 1))] {
        let session_key = keep(&*store, session_key(u32::from(asked.is_some())), &record()).await;
        done(&*store, &session_key, &authority(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
        let mut replacement = privilege(1, 3, START);
        replacement.previous.fingerprint = asked;
        done(&*store, &session_key, &authority(2, START), &rotate(Rotation::Always(replacement))).await;

        let previous = Previous { current: Some(verifier_hash(2)), ..replacement.previous };
        assert_eq!(snapshot(&*store, &session_key).await.head.previous.as_deref(), Some(&previous));
        for old in [1, 2] {
            let saved = judged(&*store, &session_key, &authority(old, START), &save(set("a", "1"))).await;
            assert_eq!(saved, gone(EndReason::Superseded));
        }
        let ending = Precondition {
            authority: Authority::EndWithToken(verifier_hash(2)),
            ..authority(2, just_before(START + IDEMPOTENCY_TTL))
        };
        done(&*store, &session_key, &ending, &Write::End(EndReason::Destroyed)).await;
    }
}

#[apply(every_store)]
async fn one_previous_token_is_remembered(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
    let second = renewal(2, 3, START);
    done(&*store, &session_key, &authority(2, START), &rotate(Rotation::Always(second))).await;

    let first = judged(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
    let previous = judged(&*store, &session_key, &authority(2, START), &save(set("a", "1"))).await;

    assert_eq!((first, previous), (gone(EndReason::Superseded), Verdict::Grace(second.previous)));
}

#[apply(every_store)]
async fn what_is_remembered_of_the_old_token_says_who_rotated(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let mut replacement = privilege(1, 2, START);
    replacement.previous.fingerprint = Some(fingerprint(1, 1));

    let precondition = Precondition { fingerprint: Some(fingerprint(1, 1)), ..authority(1, START) };
    done(&*store, &session_key, &precondition, &rotate(Rotation::Always(replacement))).await;

    assert_eq!(snapshot(&*store, &session_key).await.head.previous.as_deref(), Some(&replacement.previous));
}

#[apply(every_store)]
async fn a_save_that_rotates_does_both(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let rotation = Rotation::Always(privilege(1, 2, START));

    let save = write(Edit { changes: Some(set("a", "1")), rotation, ..edit() });
    let done = done(&*store, &session_key, &authority(1, START), &save).await;

    assert_eq!((done.head.verifier_hash, done.head.version, done.head.entry_count), (verifier_hash(2), Version(2), 2));
}

#[apply(every_store)]
async fn a_gained_subject_rotates(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let done = done(&*store, &session_key, &authority(1, START), &offering(login("anna"))).await;

    assert_eq!((done.head.verifier_hash, done.head.subject), (verifier_hash(2), Some(subject("anna"))));
}

#[apply(every_store)]
async fn another_subject_rotates(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;

    let changes = Changes { set: set("a", "1").set, ..login("bert") };
    let done = done(&*store, &session_key, &authority(1, START), &offering(changes)).await;

    assert_eq!((done.head.verifier_hash, done.head.subject), (verifier_hash(2), Some(subject("bert"))));
}

#[apply(every_store)]
async fn a_lost_subject_rotates(store: Arc<impl Store>) {
    for (n, changes) in
        [Changes { subject: SubjectChange::Remove, ..Changes::default() }, Changes { clear: true, ..set("a", "1") }]
            .into_iter()
            .enumerate()
    {
        let session_key = keep(&*store, session_key(u32::try_from(n).expect("it is small")), &full_record()).await;

        let done = done(&*store, &session_key, &authority(1, START), &offering(changes)).await;

        assert_eq!((done.head.verifier_hash, done.head.subject), (verifier_hash(2), None));
    }
}

#[apply(every_store)]
async fn the_same_subject_again_rotates_nothing(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &full_record()).await;

    let done = done(&*store, &session_key, &authority(1, START + HOUR / 2), &offering(login("anna"))).await;

    let snapshot = snapshot(&*store, &session_key).await;
    assert_eq!(
        (done.head.verifier_hash, snapshot.head.verifier_hash, snapshot.head.previous),
        (verifier_hash(1), verifier_hash(1), None)
    );
    assert_eq!(done.head.authenticate_time, Some(START + HOUR / 2));
}

#[apply(every_store)]
async fn a_save_that_leaves_the_subject_alone_rotates_nothing(store: Arc<impl Store>) {
    let with = keep(&*store, session_key(1), &full_record()).await;
    let without = keep(&*store, session_key(2), &record()).await;

    let with = done(&*store, &with, &authority(1, START), &offering(set("a", "1"))).await;
    let without = done(&*store, &without, &authority(1, START), &offering(set("a", "1"))).await;

    assert_eq!((with.head.verifier_hash, without.head.verifier_hash), (verifier_hash(1), verifier_hash(1)));
}

#[apply(every_store)]
async fn a_rotation_alone_leaves_an_empty_session_alive(store: Arc<impl Store>) {
    let mut empty = record();
    empty.entries = Default::default();
    (empty.head.entry_count, empty.head.entry_bytes) = (0, 0);
    let session_key = keep(&*store, session_key(1), &empty).await;

    done(&*store, &session_key, &authority(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;

    let Record { head, .. } = snapshot(&*store, &session_key).await;
    assert_eq!((head.end, head.verifier_hash), (None, verifier_hash(2)));
}
