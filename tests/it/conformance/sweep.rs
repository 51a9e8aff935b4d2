//! A sweep deletes every record after its purge time, and none earlier.

use std::sync::Arc;

use cloakroom::session::{Edit, EndReason};
use cloakroom::store::{SessionKey, Store, Write};
use cloakroom::types::Time;

use super::fixtures::*;

/// Sweeps until nothing is left to purge, and returns how many records were deleted.
pub(super) async fn sweep_all(store: &impl Store, now: Time) -> usize {
    let mut deleted = 0;
    loop {
        match store.sweep(now).await.expect("the store answers") {
            0 => return deleted,
            swept => deleted += swept,
        }
    }
}

/// Checks that the record is purged at `end`, and not a millisecond earlier.
async fn assert_purged_at(store: &impl Store, session_key: &SessionKey, end: Time) {
    let before = load(store, session_key).await;
    assert!(before.is_some());
    assert_eq!(sweep_all(store, just_before(end)).await, 0);
    assert_eq!(load(store, session_key).await, before);
    assert_eq!(sweep_all(store, end).await, 1);
    assert_eq!(load(store, session_key).await, None);
    assert_eq!(sweep_all(store, Time::MAX).await, 0);
}

#[apply(stores_without_redis)]
async fn an_idle_session_is_purged_sixteen_minutes_after_its_end(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    assert_purged_at(&*store, &session_key, START + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn a_touched_session_is_purged_later(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");

    assert_purged_at(&*store, &session_key, START + MINUTE + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn a_session_that_is_touched_between_sweeps_is_purged_later_each_time(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    for n in 1..5 {
        let now = START + n * (IDLE - MINUTE);
        store.touch(&session_key, &touch(1, now)).await.expect("the store answers");
        assert_eq!(sweep_all(&*store, just_before(now + IDLE + TOMBSTONE_TTL)).await, 0);
    }

    assert_purged_at(&*store, &session_key, START + 4 * (IDLE - MINUTE) + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn a_saved_session_is_purged_later(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(set("a", "1"))).await;

    assert_purged_at(&*store, &session_key, START + MINUTE + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn an_ended_session_is_purged_after_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START + MINUTE), &Write::End(EndReason::Destroyed)).await;

    assert_purged_at(&*store, &session_key, START + MINUTE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn an_emptied_session_is_purged_after_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START + MINUTE), &save(clear())).await;

    assert_purged_at(&*store, &session_key, START + MINUTE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn a_session_with_a_shorter_lifetime_is_purged_earlier(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    let lifetime = lifetime(5 * MINUTE, SPAN);
    commit(
        &*store,
        &session_key,
        &by_token(1, START),
        &write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() }),
    )
    .await;

    assert_purged_at(&*store, &session_key, START + 5 * MINUTE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn a_session_with_a_shorter_and_then_a_longer_lifetime_is_purged_later(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    for idle in [5 * MINUTE, 2 * HOUR, MINUTE, 3 * HOUR] {
        let lifetime = lifetime(idle, SPAN);
        commit(
            &*store,
            &session_key,
            &by_token(1, START),
            &write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() }),
        )
        .await;
    }

    assert_purged_at(&*store, &session_key, START + 3 * HOUR + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn the_key_of_a_purged_session_is_free_again(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    assert_eq!(sweep_all(&*store, START + TOMBSTONE_TTL).await, 1);

    let mut later = record();
    later.head.access_time = START + TOMBSTONE_TTL;
    create(&*store, session_key.clone(), &later).await;

    assert_purged_at(&*store, &session_key, START + TOMBSTONE_TTL + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_without_redis)]
async fn thousands_of_sessions_are_purged_in_turn_and_live_ones_stay(store: Arc<impl Store>) {
    const EACH: u32 = 1100;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..2 * EACH {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut record = record();
            record.head.idle_timeout = if n < EACH { MINUTE } else { MINUTE + MS };
            let session_key = create(&*store, session_key(n), &record).await;
            // The first ones were due before the others, and come first in the order of the sweep.
            if n < EACH {
                store.touch(&session_key, &touch(1, just_before(START + MINUTE))).await.expect("the store answers");
            }
        });
    }
    tasks.join_all().await;

    let first = sweep_all(&*store, START + MINUTE + MS + TOMBSTONE_TTL).await;
    for n in 0..2 * EACH {
        assert_eq!(load(&*store, &session_key(n)).await.is_some(), n < EACH);
    }
    let second = sweep_all(&*store, START + 2 * MINUTE + TOMBSTONE_TTL).await;

    assert_eq!((first, second), (EACH as usize, EACH as usize));
}
