//! What a login and a logout do to the deadlines, where anonymous sessions have a shorter lifetime.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::session::{
    Changes, Edit, EndReason, Head, LifetimeLimits, Lifetimes, NewLifetime, Record, SubjectChange,
};
use cloakroom::store::{Store, Write};
use cloakroom::types::Time;

use super::fixtures::*;

/// Idle and absolute timeout: 1 and 24 hours with a subject, 10 minutes and 2 hours without.
const LIFESPANS: LifetimeLimits = LifetimeLimits {
    authenticated: LIFETIMES,
    anonymous: Lifetimes { idle_timeout: TEN_MINUTES, absolute_timeout: TWO_HOURS },
};

const TEN_MINUTES: Duration = Duration::from_secs(10 * 60);
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

fn anonymous() -> Record {
    with_deadlines(record(), TEN_MINUTES, START + TWO_HOURS)
}

fn with_subject() -> Record {
    let mut record = record();
    record.head.subject = Some(subject("anna"));
    record
}

fn with_deadlines(mut record: Record, idle_timeout: Duration, deadline_time: Time) -> Record {
    (record.head.idle_timeout, record.head.deadline_time) = (idle_timeout, deadline_time);
    record
}

fn save_for(changes: Changes, lifetime: Option<NewLifetime>) -> Write {
    write(Edit { changes: Some(changes), lifetime, lifetime_limits: LIFESPANS, ..edit() })
}

fn logout() -> Changes {
    Changes { subject: SubjectChange::Remove, ..Changes::default() }
}

const fn deadlines(head: &Head) -> (Duration, Time) {
    (head.idle_timeout, head.deadline_time)
}

#[apply(every_store)]
async fn a_login_sets_the_lifespan_of_the_app_from_the_creation_on(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &anonymous()).await;

    let saved = commit(&*store, &session_key, &by_token(1, START + MINUTE), &save_for(login("anna"), None)).await;

    assert_eq!(deadlines(&saved.head), (IDLE, START + SPAN));
}

#[apply(every_store)]
async fn a_login_overrides_an_earlier_lifetime(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &with_deadlines(record(), 2 * MINUTE, START + 3 * MINUTE)).await;

    let saved = commit(&*store, &session_key, &by_token(1, START + MINUTE), &save_for(login("anna"), None)).await;

    assert_eq!(deadlines(&saved.head), (IDLE, START + SPAN));
}

#[apply(every_store)]
async fn a_login_can_set_a_lifetime(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &anonymous()).await;
    let lifetime = NewLifetime { idle_timeout: HOUR / 2, absolute_timeout: SPAN, cap: Some(START + 5 * HOUR) };

    let saved =
        commit(&*store, &session_key, &by_token(1, START + MINUTE), &save_for(login("anna"), Some(lifetime))).await;

    assert_eq!(deadlines(&saved.head), (HOUR / 2, START + 5 * HOUR));
}

#[apply(every_store)]
async fn a_logout_sets_the_anonymous_lifespan_from_then_on(store: Arc<impl Store>) {
    for (n, changes) in [(1, logout()), (2, Changes { clear: true, ..set("a", "1") })] {
        let mut late = with_subject();
        late.head.access_time = START + 20 * HOUR;
        let session_key = create(&*store, session_key(n), &late).await;

        let saved = commit(&*store, &session_key, &by_token(1, START + 20 * HOUR), &save_for(changes, None)).await;

        assert_eq!(deadlines(&saved.head), (TEN_MINUTES, START + 22 * HOUR));
    }
}

#[apply(every_store)]
async fn a_logout_never_extends_a_lifetime(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &with_deadlines(with_subject(), MINUTE, START + HOUR)).await;

    let saved = commit(&*store, &session_key, &by_token(1, START), &save_for(logout(), None)).await;

    assert_eq!(deadlines(&saved.head), (MINUTE, START + HOUR));
}

#[apply(every_store)]
async fn a_logout_can_set_a_lifetime_within_the_anonymous_lifespan(store: Arc<impl Store>) {
    let table = [
        (NewLifetime { idle_timeout: HOUR, absolute_timeout: SPAN, cap: None }, (TEN_MINUTES, START + 2 * HOUR)),
        (NewLifetime { idle_timeout: MINUTE, absolute_timeout: SPAN, cap: Some(START + HOUR) }, (MINUTE, START + HOUR)),
    ];
    for (n, (lifetime, expected)) in (1..).zip(table) {
        let session_key =
            create(&*store, session_key(n), &with_deadlines(with_subject(), HOUR, START + 3 * HOUR / 2)).await;

        let saved = commit(&*store, &session_key, &by_token(1, START), &save_for(logout(), Some(lifetime))).await;

        assert_eq!(deadlines(&saved.head), expected);
    }
}

#[apply(every_store)]
async fn an_anonymous_session_can_shorten_its_lifetime_and_restore_it(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &anonymous()).await;
    let save = |lifetime| save_for(set("a", "1"), Some(lifetime));
    let default = NewLifetime { idle_timeout: IDLE, absolute_timeout: SPAN, cap: None };

    let shorter = NewLifetime { idle_timeout: MINUTE, absolute_timeout: SPAN, cap: Some(START + HOUR) };
    let shorter = commit(&*store, &session_key, &by_token(1, START), &save(shorter)).await;
    let back = commit(&*store, &session_key, &by_token(1, START), &save(default)).await;

    assert_eq!(deadlines(&shorter.head), (MINUTE, START + HOUR));
    assert_eq!(deadlines(&back.head), (TEN_MINUTES, START + TWO_HOURS));
}

#[apply(every_store)]
async fn the_default_lifetime_does_not_end_a_session_after_a_late_logout(store: Arc<impl Store>) {
    let mut late = with_subject();
    late.head.access_time = START + 20 * HOUR;
    let session_key = create(&*store, session_key(1), &late).await;
    let now = START + 20 * HOUR;
    commit(&*store, &session_key, &by_token(1, now), &save_for(logout(), None)).await;

    let default = NewLifetime { idle_timeout: IDLE, absolute_timeout: SPAN, cap: None };
    let saved =
        commit(&*store, &session_key, &by_token(1, now + MINUTE), &save_for(set("a", "1"), Some(default))).await;

    assert_eq!(deadlines(&saved.head), (TEN_MINUTES, now + TWO_HOURS));
}

#[apply(every_store)]
async fn a_save_that_adds_or_removes_no_subject_keeps_the_lifetime(store: Arc<impl Store>) {
    let anonymous = create(&*store, session_key(1), &with_deadlines(record(), 2 * HOUR, START + 5 * HOUR)).await;
    let owned = create(&*store, session_key(2), &with_deadlines(with_subject(), MINUTE, START + HOUR)).await;

    let anonymous = commit(&*store, &anonymous, &by_token(1, START), &save_for(set("a", "1"), None)).await;
    let same = commit(&*store, &owned, &by_token(1, START), &save_for(login("anna"), None)).await;

    assert_eq!(deadlines(&anonymous.head), (2 * HOUR, START + 5 * HOUR));
    assert_eq!(deadlines(&same.head), (MINUTE, START + HOUR));
}

#[apply(every_store)]
async fn the_next_user_of_a_session_does_not_get_the_lifetime_of_the_one_before(store: Arc<impl Store>) {
    let of_anna = with_deadlines(with_subject(), MINUTE, START + HOUR);
    let follow_subject = |changes| save_for(changes, None);
    let same_for_all = save;
    let shorter = NewLifetime { idle_timeout: HOUR / 2, absolute_timeout: SPAN, cap: None };
    let table = [
        (follow_subject(login("bert")), (IDLE, START + SPAN)),
        (follow_subject(Changes { clear: true, ..login("bert") }), (IDLE, START + SPAN)),
        (follow_subject(Changes { clear: true, ..login("anna") }), (IDLE, START + SPAN)),
        (follow_subject(Changes { clear: true, ..set("a", "1") }), (TEN_MINUTES, START + TWO_HOURS)),
        (same_for_all(login("bert")), (IDLE, START + SPAN)),
        (same_for_all(Changes { clear: true, ..set("a", "1") }), (IDLE, START + SPAN)),
        (save_for(login("bert"), Some(shorter)), (HOUR / 2, START + SPAN)),
        (save_for(Changes { clear: true, ..login("bert") }, Some(shorter)), (HOUR / 2, START + SPAN)),
    ];
    for (n, (operation, expected)) in (1..).zip(table) {
        let session_key = create(&*store, session_key(n), &of_anna).await;

        let saved = commit(&*store, &session_key, &by_token(1, START), &operation).await;

        assert_eq!(deadlines(&saved.head), expected, "{operation:?}");
    }
}

#[apply(every_store)]
async fn a_login_keeps_the_deadline_of_a_session_that_is_older_than_the_absolute_timeout_is_now(
    store: Arc<impl Store>,
) {
    let now = START + 30 * HOUR;
    let mut old = with_deadlines(record(), IDLE, START + 72 * HOUR);
    old.head.access_time = now;
    for (n, changes) in (1..).zip([login("anna"), Changes { clear: true, ..login("anna") }]) {
        let session_key = create(&*store, session_key(n), &old).await;

        let saved = commit(&*store, &session_key, &by_token(1, now), &save_for(changes, None)).await;

        assert_eq!(deadlines(&saved.head), (IDLE, START + 72 * HOUR));
    }
}

#[apply(every_store)]
async fn a_session_ends_at_the_deadlines_that_its_logout_set(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &with_subject()).await;
    commit(&*store, &session_key, &by_token(1, START), &save_for(logout(), None)).await;

    commit(&*store, &session_key, &by_token(1, just_before(START + TEN_MINUTES)), &save(set("a", "1"))).await;
    let end = just_before(START + TEN_MINUTES) + TEN_MINUTES;

    assert_eq!(rejection(&*store, &session_key, &by_token(1, end), &save(set("a", "2"))).await, gone(EndReason::Idle));
}
