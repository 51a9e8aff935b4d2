//! Lifespans: what becomes of a session's deadlines with its subject, where anonymous sessions are granted less.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::session::{Changes, Edit, EndReason, Head, Lifespan, Lifespans, NewLifetime, Record, SubjectChange};
use cloakroom::store::{Store, Write};
use cloakroom::types::Time;

use super::given::*;

/// 1 hour and 24 hours with a subject, 10 minutes and 2 hours without.
const GRANTED: Lifespans = Lifespans {
    owned: Lifespan { idle_timeout: IDLE, span: SPAN },
    anonymous: Lifespan { idle_timeout: TEN_MINUTES, span: TWO_HOURS },
};

const TEN_MINUTES: Duration = Duration::from_secs(10 * 60);
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// A session as the service creates it for nobody.
fn anonymous() -> Record {
    with_deadlines(record(), TEN_MINUTES, START + TWO_HOURS)
}

fn owned() -> Record {
    let mut record = record();
    record.head.subject = Some(subject("anna"));
    record
}

fn with_deadlines(mut record: Record, idle_timeout: Duration, deadline_time: Time) -> Record {
    (record.head.idle_timeout, record.head.deadline_time) = (idle_timeout, deadline_time);
    record
}

fn asking(changes: Changes, lifetime: Option<NewLifetime>) -> Write {
    write(Edit { changes: Some(changes), lifetime, lifespans: Some(GRANTED), ..edit() })
}

fn logout() -> Changes {
    Changes { subject: SubjectChange::Remove, ..Changes::default() }
}

const fn deadlines(head: &Head) -> (Duration, Time) {
    (head.idle_timeout, head.deadline_time)
}

#[apply(every_store)]
async fn a_first_subject_gives_the_apps_own_counted_from_the_creation(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &anonymous()).await;

    let saved = done(&*store, &session_key, &authority(1, START + MINUTE), &asking(login("anna"), None)).await;

    assert_eq!(deadlines(&saved.head), (IDLE, START + SPAN));
}

#[apply(every_store)]
async fn a_first_subject_ends_a_lifetime_that_was_asked_for_before(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &with_deadlines(record(), 2 * MINUTE, START + 3 * MINUTE)).await;

    let saved = done(&*store, &session_key, &authority(1, START + MINUTE), &asking(login("anna"), None)).await;

    assert_eq!(deadlines(&saved.head), (IDLE, START + SPAN));
}

#[apply(every_store)]
async fn a_lifetime_of_the_login_itself_goes_first(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &anonymous()).await;
    let asked = NewLifetime { idle_timeout: HOUR / 2, span: SPAN, cap: Some(START + 5 * HOUR) };

    let saved = done(&*store, &session_key, &authority(1, START + MINUTE), &asking(login("anna"), Some(asked))).await;

    assert_eq!(deadlines(&saved.head), (HOUR / 2, START + 5 * HOUR));
}

#[apply(every_store)]
async fn without_its_subject_a_session_has_at_most_the_anonymous_from_then_on(store: Arc<impl Store>) {
    for (n, changes) in [(1, logout()), (2, Changes { clear: true, ..set("a", "1") })] {
        let mut late = owned();
        late.head.access_time = START + 20 * HOUR;
        let session_key = keep(&*store, session_key(n), &late).await;

        let saved = done(&*store, &session_key, &authority(1, START + 20 * HOUR), &asking(changes, None)).await;

        assert_eq!(deadlines(&saved.head), (TEN_MINUTES, START + 22 * HOUR));
    }
}

#[apply(every_store)]
async fn a_lost_subject_never_lengthens_a_life(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &with_deadlines(owned(), MINUTE, START + HOUR)).await;

    let saved = done(&*store, &session_key, &authority(1, START), &asking(logout(), None)).await;

    assert_eq!(deadlines(&saved.head), (MINUTE, START + HOUR));
}

#[apply(every_store)]
async fn a_lifetime_of_the_logout_itself_stays_within_the_anonymous(store: Arc<impl Store>) {
    let table = [
        (NewLifetime { idle_timeout: HOUR, span: SPAN, cap: None }, (TEN_MINUTES, START + 2 * HOUR)),
        (NewLifetime { idle_timeout: MINUTE, span: SPAN, cap: Some(START + HOUR) }, (MINUTE, START + HOUR)),
    ];
    for (n, (asked, expected)) in (1..).zip(table) {
        let session_key = keep(&*store, session_key(n), &with_deadlines(owned(), HOUR, START + 3 * HOUR / 2)).await;

        let saved = done(&*store, &session_key, &authority(1, START), &asking(logout(), Some(asked))).await;

        assert_eq!(deadlines(&saved.head), expected);
    }
}

#[apply(every_store)]
async fn an_anonymous_session_asks_within_the_anonymous_and_can_have_them_back(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &anonymous()).await;
    let ask = |lifetime| asking(set("a", "1"), Some(lifetime));
    let default = NewLifetime { idle_timeout: IDLE, span: SPAN, cap: None };

    let shorter = NewLifetime { idle_timeout: MINUTE, span: SPAN, cap: Some(START + HOUR) };
    let shorter = done(&*store, &session_key, &authority(1, START), &ask(shorter)).await;
    let back = done(&*store, &session_key, &authority(1, START), &ask(default)).await;

    assert_eq!(deadlines(&shorter.head), (MINUTE, START + HOUR));
    assert_eq!(deadlines(&back.head), (TEN_MINUTES, START + TWO_HOURS));
}

#[apply(every_store)]
async fn one_that_lost_its_subject_late_is_not_ended_by_asking_for_the_default(store: Arc<impl Store>) {
    let mut late = owned();
    late.head.access_time = START + 20 * HOUR;
    let session_key = keep(&*store, session_key(1), &late).await;
    let now = START + 20 * HOUR;
    done(&*store, &session_key, &authority(1, now), &asking(logout(), None)).await;

    let default = NewLifetime { idle_timeout: IDLE, span: SPAN, cap: None };
    let saved = done(&*store, &session_key, &authority(1, now + MINUTE), &asking(set("a", "1"), Some(default))).await;

    assert_eq!(deadlines(&saved.head), (TEN_MINUTES, now + TWO_HOURS));
}

#[apply(every_store)]
async fn saves_that_leave_the_subject_leave_the_lifetime(store: Arc<impl Store>) {
    let nobody = keep(&*store, session_key(1), &with_deadlines(record(), 2 * HOUR, START + 5 * HOUR)).await;
    let somebody = keep(&*store, session_key(2), &with_deadlines(owned(), MINUTE, START + HOUR)).await;

    let nobody = done(&*store, &nobody, &authority(1, START), &asking(set("a", "1"), None)).await;
    let same = done(&*store, &somebody, &authority(1, START), &asking(login("anna"), None)).await;
    let other = done(&*store, &somebody, &authority(1, START), &asking(login("bert"), None)).await;

    assert_eq!(deadlines(&nobody.head), (2 * HOUR, START + 5 * HOUR));
    assert_eq!(deadlines(&same.head), (MINUTE, START + HOUR));
    assert_eq!(deadlines(&other.head), (MINUTE, START + HOUR));
}

#[apply(every_store)]
async fn a_session_that_lost_its_subject_ends_at_its_new_deadlines(store: Arc<impl Store>) {
    let session_key = keep(&*store, session_key(1), &owned()).await;
    done(&*store, &session_key, &authority(1, START), &asking(logout(), None)).await;

    done(&*store, &session_key, &authority(1, just_before(START + TEN_MINUTES)), &save(set("a", "1"))).await;
    let end = just_before(START + TEN_MINUTES) + TEN_MINUTES;

    assert_eq!(judged(&*store, &session_key, &authority(1, end), &save(set("a", "2"))).await, gone(EndReason::Idle));
}
