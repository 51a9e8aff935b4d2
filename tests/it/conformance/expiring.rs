//! Expiring: both deadlines, to the millisecond, and how long they are remembered.

use std::sync::Arc;

use cloakroom::session::{Edit, EndReason, NewLifetime, Verdict};
use cloakroom::store::{SessionKey, Store};
use cloakroom::types::Time;

use super::given::*;

/// The session ends at `end`: a save fails then, and one a millisecond before is written.
async fn ends_at(store: &impl Store, session_key: &SessionKey, end: Time, reason: EndReason) {
    let before = just_before(end);
    assert_eq!(judged(store, session_key, &authority(1, end), &save(set("a", "1"))).await, gone(reason));
    assert_eq!(judged(store, session_key, &by_admin(end), &save(set("a", "1"))).await, gone(reason));
    done(store, session_key, &authority(1, before), &save(set("a", "1"))).await;
}

#[apply(every_store)]
async fn an_idle_session_ends_at_its_idle_timeout(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    ends_at(&*store, &session_key, START + IDLE, EndReason::Idle).await;
}

#[apply(every_store)]
async fn a_touch_moves_the_idle_deadline(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    store.touch(&session_key, &touch(1, START + IDLE / 2)).await.expect("the store answers");

    ends_at(&*store, &session_key, START + IDLE / 2 + IDLE, EndReason::Idle).await;
}

#[apply(every_store)]
async fn a_save_moves_the_idle_deadline_and_never_back(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START + IDLE / 2), &save(set("a", "1"))).await;
    done(&*store, &session_key, &authority(1, START), &save(set("a", "2"))).await;

    ends_at(&*store, &session_key, START + IDLE / 2 + IDLE, EndReason::Idle).await;
}

#[apply(every_store)]
async fn a_used_session_ends_at_its_absolute_deadline(store: Arc<impl Store>) {
    let mut record = record();
    record.head.access_time = START + (SPAN - MINUTE);
    let session_key = keep(&*store, session_key(1), &record).await;

    ends_at(&*store, &session_key, START + SPAN, EndReason::Absolute).await;
}

#[apply(every_store)]
async fn a_new_lifetime_moves_both_deadlines(store: Arc<impl Store>) {
    let idle = keep(&*store, session_key(1), &record()).await;
    let absolute = keep(&*store, session_key(2), &record()).await;
    let save = |idle_timeout, span| {
        write(Edit { changes: Some(set("a", "1")), lifetime: lifetime(idle_timeout, span), ..edit() })
    };

    done(&*store, &idle, &authority(1, START), &save(2 * HOUR, SPAN)).await;
    done(&*store, &absolute, &authority(1, START), &save(2 * HOUR, MINUTE)).await;

    ends_at(&*store, &idle, START + 2 * HOUR, EndReason::Idle).await;
    ends_at(&*store, &absolute, START + MINUTE, EndReason::Absolute).await;
}

#[apply(every_store)]
async fn an_expired_session_has_a_reason_for_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let last =
        judged(&*store, &session_key, &authority(1, just_before(START + IDLE + TOMBSTONE_TTL)), &save(set("a", "1")))
            .await;
    let after = judged(&*store, &session_key, &authority(1, START + IDLE + TOMBSTONE_TTL), &save(set("a", "1"))).await;

    assert_eq!((last, after), (gone(EndReason::Idle), Verdict::Gone(None)));
}

#[apply(every_store)]
async fn a_deadline_in_the_past_is_an_end_now_and_is_remembered(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let now = START + 30 * MINUTE;
    let lifetime = Some(NewLifetime { idle_timeout: IDLE, span: SPAN, cap: Some(START) });

    done(&*store, &session_key, &authority(1, now), &write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() }))
        .await;

    let first = judged(&*store, &session_key, &authority(1, now), &save(set("a", "1"))).await;
    let last =
        judged(&*store, &session_key, &authority(1, just_before(now + TOMBSTONE_TTL)), &save(set("a", "1"))).await;
    assert_eq!((first, last), (gone(EndReason::Absolute), gone(EndReason::Absolute)));
}
