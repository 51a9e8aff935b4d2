//! Rotating: the token changes, the session stays.

use std::sync::Arc;

use cloakroom::session::{
    By, Changes, Edit, EndReason, Guard, MARK_MEMORY, Previous, Record, Rotation, SubjectChange, Verdict, Version,
};
use cloakroom::store::{Store, Write};

use super::given::*;

/// A save that offers proof 2 as the successor of proof 1.
fn offering(changes: Changes) -> Write {
    write(Edit { changes: Some(changes), rotation: Rotation::OnSubjectChange(privilege(1, 2, START)), ..edit() })
}

async fn a_rotation_changes_the_token_and_nothing_else(store: Arc<impl Store>) {
    let place = one_session(&*store).await;
    let replacement = privilege(1, 2, START);

    done(&*store, &place, &by(1, START), &rotate(Rotation::Always(replacement))).await;

    let mut expected = record();
    expected.head.proof = proof(2);
    expected.head.previous = Some(Box::new(replacement.previous));
    assert_eq!(kept(&*store, &place).await, expected);
}

async fn a_privilege_rotation_supersedes_the_old_token_at_once(store: Arc<impl Store>) {
    let place = one_session(&*store).await;
    done(&*store, &place, &by(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;

    let old = judged(&*store, &place, &by(1, START), &save(set("a", "1"))).await;
    done(&*store, &place, &by(2, START), &save(set("a", "1"))).await;

    assert_eq!(old, gone(EndReason::Superseded));
}

async fn a_renewal_leaves_the_old_token_its_grace(store: Arc<impl Store>) {
    let place = one_session(&*store).await;
    let replacement = renewal(1, 2, START);
    done(&*store, &place, &by(1, START), &rotate(Rotation::Always(replacement))).await;

    let first = judged(&*store, &place, &by(1, START), &save(set("a", "1"))).await;
    let last = judged(&*store, &place, &by(1, just_before(START + GRACE)), &save(set("a", "1"))).await;
    let after = judged(&*store, &place, &by(1, START + GRACE), &save(set("a", "1"))).await;

    assert_eq!(first, Verdict::Grace(replacement.previous));
    assert_eq!(last, Verdict::Grace(replacement.previous));
    assert_eq!(after, gone(EndReason::Superseded));
}

async fn a_rotation_that_an_older_token_asks_for_remembers_the_current_one_for_an_end(store: Arc<impl Store>) {
    for asked in [None, Some(fingerprint(1, 1))] {
        let place = keep(&*store, place(u32::from(asked.is_some())), &record()).await;
        done(&*store, &place, &by(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
        let mut replacement = privilege(1, 3, START);
        replacement.previous.fingerprint = asked;
        done(&*store, &place, &by(2, START), &rotate(Rotation::Always(replacement))).await;

        let previous = Previous { current: Some(proof(2)), ..replacement.previous };
        assert_eq!(kept(&*store, &place).await.head.previous.as_deref(), Some(&previous));
        for old in [1, 2] {
            let saved = judged(&*store, &place, &by(old, START), &save(set("a", "1"))).await;
            assert_eq!(saved, gone(EndReason::Superseded));
        }
        let ending = Guard { by: By::Ending(proof(2)), ..by(2, just_before(START + MARK_MEMORY)) };
        done(&*store, &place, &ending, &Write::End(EndReason::Destroyed)).await;
    }
}

async fn one_previous_token_is_remembered(store: Arc<impl Store>) {
    let place = one_session(&*store).await;
    done(&*store, &place, &by(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;
    let second = renewal(2, 3, START);
    done(&*store, &place, &by(2, START), &rotate(Rotation::Always(second))).await;

    let first = judged(&*store, &place, &by(1, START), &save(set("a", "1"))).await;
    let previous = judged(&*store, &place, &by(2, START), &save(set("a", "1"))).await;

    assert_eq!((first, previous), (gone(EndReason::Superseded), Verdict::Grace(second.previous)));
}

async fn what_is_remembered_of_the_old_token_says_who_rotated(store: Arc<impl Store>) {
    let place = one_session(&*store).await;
    let mut replacement = privilege(1, 2, START);
    replacement.previous.fingerprint = Some(fingerprint(1, 1));

    let guard = Guard { fingerprint: Some(fingerprint(1, 1)), ..by(1, START) };
    done(&*store, &place, &guard, &rotate(Rotation::Always(replacement))).await;

    assert_eq!(kept(&*store, &place).await.head.previous.as_deref(), Some(&replacement.previous));
}

async fn a_save_that_rotates_does_both(store: Arc<impl Store>) {
    let place = one_session(&*store).await;
    let rotation = Rotation::Always(privilege(1, 2, START));

    let save = write(Edit { changes: Some(set("a", "1")), rotation, ..edit() });
    let done = done(&*store, &place, &by(1, START), &save).await;

    assert_eq!((done.head.proof, done.head.version, done.head.entry_count), (proof(2), Version(2), 2));
}

async fn a_gained_subject_rotates(store: Arc<impl Store>) {
    let place = one_session(&*store).await;

    let done = done(&*store, &place, &by(1, START), &offering(login("anna"))).await;

    assert_eq!((done.head.proof, done.head.subject), (proof(2), Some(subject("anna"))));
}

async fn another_subject_rotates(store: Arc<impl Store>) {
    let place = keep(&*store, place(1), &full_record()).await;

    let changes = Changes { set: set("a", "1").set, ..login("bert") };
    let done = done(&*store, &place, &by(1, START), &offering(changes)).await;

    assert_eq!((done.head.proof, done.head.subject), (proof(2), Some(subject("bert"))));
}

async fn a_lost_subject_rotates(store: Arc<impl Store>) {
    for (n, changes) in
        [Changes { subject: SubjectChange::Remove, ..Changes::default() }, Changes { clear: true, ..set("a", "1") }]
            .into_iter()
            .enumerate()
    {
        let place = keep(&*store, place(u32::try_from(n).expect("it is small")), &full_record()).await;

        let done = done(&*store, &place, &by(1, START), &offering(changes)).await;

        assert_eq!((done.head.proof, done.head.subject), (proof(2), None));
    }
}

async fn the_same_subject_again_rotates_nothing(store: Arc<impl Store>) {
    let place = keep(&*store, place(1), &full_record()).await;

    let done = done(&*store, &place, &by(1, START + HOUR / 2), &offering(login("anna"))).await;

    let kept = kept(&*store, &place).await;
    assert_eq!((done.head.proof, kept.head.proof, kept.head.previous), (proof(1), proof(1), None));
    assert_eq!(done.head.authenticate_time, Some(START + HOUR / 2));
}

async fn a_save_that_leaves_the_subject_alone_rotates_nothing(store: Arc<impl Store>) {
    let with = keep(&*store, place(1), &full_record()).await;
    let without = keep(&*store, place(2), &record()).await;

    let with = done(&*store, &with, &by(1, START), &offering(set("a", "1"))).await;
    let without = done(&*store, &without, &by(1, START), &offering(set("a", "1"))).await;

    assert_eq!((with.head.proof, without.head.proof), (proof(1), proof(1)));
}

async fn a_rotation_alone_leaves_an_empty_session_alive(store: Arc<impl Store>) {
    let mut empty = record();
    empty.entries = Default::default();
    (empty.head.entry_count, empty.head.entry_bytes) = (0, 0);
    let place = keep(&*store, place(1), &empty).await;

    done(&*store, &place, &by(1, START), &rotate(Rotation::Always(privilege(1, 2, START)))).await;

    let Record { head, .. } = kept(&*store, &place).await;
    assert_eq!((head.end, head.proof), (None, proof(2)));
}

facts_of_every_store!(
    a_rotation_changes_the_token_and_nothing_else,
    a_privilege_rotation_supersedes_the_old_token_at_once,
    a_renewal_leaves_the_old_token_its_grace,
    a_rotation_that_an_older_token_asks_for_remembers_the_current_one_for_an_end,
    one_previous_token_is_remembered,
    what_is_remembered_of_the_old_token_says_who_rotated,
    a_save_that_rotates_does_both,
    a_gained_subject_rotates,
    another_subject_rotates,
    a_lost_subject_rotates,
    the_same_subject_again_rotates_nothing,
    a_save_that_leaves_the_subject_alone_rotates_nothing,
    a_rotation_alone_leaves_an_empty_session_alive,
);
