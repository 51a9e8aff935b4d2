//! A touch moves the access time forward and changes nothing else but the context.

use std::sync::Arc;

use cloakroom::session::{EndReason, Rotation};
use cloakroom::store::{SessionKey, Store, Touch, Write};

use super::fixtures::*;

/// Checks that a touch changes nothing.
async fn assert_no_effect(store: &impl Store, session_key: &SessionKey, touch: &Touch) {
    let before = load(store, session_key).await;
    store.touch(session_key, touch).await.expect("the store answers");
    assert_eq!(load(store, session_key).await, before);
}

#[apply(every_store)]
async fn a_touch_moves_the_access_time_and_nothing_else(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;

    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");

    let mut expected = full_record();
    expected.head.access_time = START + MINUTE;
    assert_eq!(load_record(&*store, &session_key).await, expected);
}

#[apply(every_store)]
async fn a_touch_stores_the_context_of_its_request(store: Arc<impl Store>) {
    let session_key = create(&*store, session_key(1), &full_record()).await;

    let touch = Touch { context: Some(context("Browser/2.0")), ..touch(1, START + MINUTE) };
    store.touch(&session_key, &touch).await.expect("the store answers");

    assert_eq!(load_record(&*store, &session_key).await.head.context, context("Browser/2.0"));
}

#[apply(every_store)]
async fn a_touch_never_goes_back(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    store.touch(&session_key, &touch(1, START + 2 * MINUTE)).await.expect("the store answers");

    assert_no_effect(&*store, &session_key, &touch(1, START + MINUTE)).await;
    let same_time = Touch { context: Some(context("late")), ..touch(1, START + 2 * MINUTE) };
    assert_no_effect(&*store, &session_key, &same_time).await;
}

#[apply(every_store)]
async fn a_touch_needs_the_current_token(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &rotate(Rotation::Always(renewal(1, 2, START)))).await;

    assert_no_effect(&*store, &session_key, &touch(9, START + MINUTE)).await;
    assert_no_effect(&*store, &session_key, &touch(1, START + MINUTE)).await;
}

#[apply(every_store)]
async fn a_touch_creates_nothing(store: Arc<impl Store>) {
    assert_no_effect(&*store, &session_key(1), &touch(1, START)).await;
}

#[apply(every_store)]
async fn a_touch_does_not_revive_an_ended_session(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;

    assert_no_effect(&*store, &session_key, &touch(1, START + MINUTE)).await;
}

#[apply(every_store)]
async fn a_touch_does_not_revive_an_expired_session(store: Arc<impl Store>) {
    let idle = create_session(&*store).await;
    let mut short = record();
    short.head.deadline_time = START + MINUTE;
    let absolute = create(&*store, session_key(2), &short).await;

    assert_no_effect(&*store, &idle, &touch(1, START + IDLE)).await;
    assert_no_effect(&*store, &absolute, &touch(1, START + MINUTE)).await;

    store.touch(&idle, &touch(1, just_before(START + IDLE))).await.expect("the store answers");
    store.touch(&absolute, &touch(1, just_before(START + MINUTE))).await.expect("the store answers");
    assert_eq!(load_record(&*store, &idle).await.head.access_time, just_before(START + IDLE));
    assert_eq!(load_record(&*store, &absolute).await.head.access_time, just_before(START + MINUTE));
}
