//! Expiry: both deadlines to the millisecond, and how long the reason is known.

use std::sync::Arc;

use cloakroom::session::{Denial, Edit, EndReason, NewLifetime};
use cloakroom::store::{SessionKey, Store};
use cloakroom::types::Time;

use super::fixtures::*;

/// Checks that a save at `end` is rejected, and that one a millisecond before is written.
async fn assert_ends_at(store: &impl Store, session_key: &SessionKey, end: Time, reason: EndReason) {
    let before = just_before(end);
    assert_eq!(rejection(store, session_key, &by_token(1, end), &save(set("a", "1"))).await, gone(reason));
    assert_eq!(rejection(store, session_key, &by_admin(end), &save(set("a", "1"))).await, gone(reason));
    commit(store, session_key, &by_token(1, before), &save(set("a", "1"))).await;
}

#[apply(every_store)]
async fn an_idle_session_ends_at_its_idle_timeout(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    assert_ends_at(&*store, &session_key, START + IDLE, EndReason::Idle).await;
}

#[apply(every_store)]
async fn a_touch_moves_the_idle_deadline(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    store.touch(&session_key, &touch(1, START + IDLE / 2)).await.expect("the store answers");

    assert_ends_at(&*store, &session_key, START + IDLE / 2 + IDLE, EndReason::Idle).await;
}

#[apply(every_store)]
async fn a_save_moves_the_idle_deadline_forward_only(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START + IDLE / 2), &save(set("a", "1"))).await;
    commit(&*store, &session_key, &by_token(1, START), &save(set("a", "2"))).await;

    assert_ends_at(&*store, &session_key, START + IDLE / 2 + IDLE, EndReason::Idle).await;
}

#[apply(every_store)]
async fn a_used_session_ends_at_its_absolute_deadline(store: Arc<impl Store>) {
    let mut record = record();
    record.head.access_time = START + (SPAN - MINUTE);
    let session_key = create(&*store, session_key(1), &record).await;

    assert_ends_at(&*store, &session_key, START + SPAN, EndReason::Absolute).await;
}

#[apply(every_store)]
async fn a_new_lifetime_moves_both_deadlines(store: Arc<impl Store>) {
    let idle = create(&*store, session_key(1), &record()).await;
    let absolute = create(&*store, session_key(2), &record()).await;
    let save = |idle_timeout, absolute_timeout| {
        write(Edit { changes: Some(set("a", "1")), lifetime: lifetime(idle_timeout, absolute_timeout), ..edit() })
    };

    commit(&*store, &idle, &by_token(1, START), &save(2 * HOUR, SPAN)).await;
    commit(&*store, &absolute, &by_token(1, START), &save(2 * HOUR, MINUTE)).await;

    assert_ends_at(&*store, &idle, START + 2 * HOUR, EndReason::Idle).await;
    assert_ends_at(&*store, &absolute, START + MINUTE, EndReason::Absolute).await;
}

#[apply(every_store)]
async fn the_reason_of_an_expiry_is_known_for_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let last =
        rejection(&*store, &session_key, &by_token(1, just_before(START + IDLE + TOMBSTONE_TTL)), &save(set("a", "1")))
            .await;
    let after =
        rejection(&*store, &session_key, &by_token(1, START + IDLE + TOMBSTONE_TTL), &save(set("a", "1"))).await;

    assert_eq!((last, after), (gone(EndReason::Idle), Denial::Gone(None)));
}

#[apply(every_store)]
async fn a_deadline_in_the_past_ends_the_session_now(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let now = START + 30 * MINUTE;
    let lifetime = Some(NewLifetime { idle_timeout: IDLE, absolute_timeout: SPAN, cap: Some(START) });

    commit(&*store, &session_key, &by_token(1, now), &write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() }))
        .await;

    let first = rejection(&*store, &session_key, &by_token(1, now), &save(set("a", "1"))).await;
    let last =
        rejection(&*store, &session_key, &by_token(1, just_before(now + TOMBSTONE_TTL)), &save(set("a", "1"))).await;
    assert_eq!((first, last), (gone(EndReason::Absolute), gone(EndReason::Absolute)));
}
