//! Sweeping: what may be forgotten goes, and nothing goes earlier.

use std::sync::Arc;

use cloakroom::session::{Edit, EndReason};
use cloakroom::store::{SessionKey, Store, Write};
use cloakroom::types::Time;

use super::given::*;

/// Sweeps until nothing is left to forget; answers how many records went.
async fn sweep(store: &impl Store, now: Time) -> usize {
    let mut gone = 0;
    loop {
        match store.sweep(now).await.expect("the store answers") {
            0 => return gone,
            swept => gone += swept,
        }
    }
}

/// The record at this place is forgotten at `end`, and not a millisecond earlier.
async fn is_forgotten_at(store: &impl Store, session_key: &SessionKey, end: Time) {
    let before = load(store, session_key).await;
    assert!(before.is_some());
    assert_eq!(sweep(store, just_before(end)).await, 0);
    assert_eq!(load(store, session_key).await, before);
    assert_eq!(sweep(store, end).await, 1);
    assert_eq!(load(store, session_key).await, None);
    assert_eq!(sweep(store, Time::MAX).await, 0);
}

#[apply(stores_that_sweep)]
async fn an_idle_session_is_forgotten_sixteen_minutes_after_its_end(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    is_forgotten_at(&*store, &session_key, START + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn a_touched_session_is_forgotten_later(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    store.touch(&session_key, &touch(1, START + MINUTE)).await.expect("the store answers");

    is_forgotten_at(&*store, &session_key, START + MINUTE + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn a_session_that_is_touched_between_sweeps_is_forgotten_later_each_time(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    for n in 1..5 {
        let now = START + n * (IDLE - MINUTE);
        store.touch(&session_key, &touch(1, now)).await.expect("the store answers");
        assert_eq!(sweep(&*store, just_before(now + IDLE + TOMBSTONE_TTL)).await, 0);
    }

    is_forgotten_at(&*store, &session_key, START + 4 * (IDLE - MINUTE) + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn a_session_that_is_saved_is_forgotten_later(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START + MINUTE), &save(set("a", "1"))).await;

    is_forgotten_at(&*store, &session_key, START + MINUTE + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn an_ended_session_is_forgotten_after_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START + MINUTE), &Write::End(EndReason::Destroyed)).await;

    is_forgotten_at(&*store, &session_key, START + MINUTE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn an_emptied_session_is_forgotten_after_sixteen_minutes(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START + MINUTE), &save(clear())).await;

    is_forgotten_at(&*store, &session_key, START + MINUTE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn a_session_with_a_shorter_life_is_forgotten_earlier(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    let lifetime = lifetime(5 * MINUTE, SPAN);
    done(
        &*store,
        &session_key,
        &authority(1, START),
        &write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() }),
    )
    .await;

    is_forgotten_at(&*store, &session_key, START + 5 * MINUTE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn a_session_with_a_shorter_and_then_a_longer_life_is_forgotten_later(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    for idle in [5 * MINUTE, 2 * HOUR, MINUTE, 3 * HOUR] {
        let lifetime = lifetime(idle, SPAN);
        done(
            &*store,
            &session_key,
            &authority(1, START),
            &write(Edit { changes: Some(set("a", "1")), lifetime, ..edit() }),
        )
        .await;
    }

    is_forgotten_at(&*store, &session_key, START + 3 * HOUR + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn a_place_that_was_forgotten_is_free_again(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &Write::End(EndReason::Destroyed)).await;
    assert_eq!(sweep(&*store, START + TOMBSTONE_TTL).await, 1);

    let mut later = record();
    later.head.access_time = START + TOMBSTONE_TTL;
    keep(&*store, session_key.clone(), &later).await;

    is_forgotten_at(&*store, &session_key, START + TOMBSTONE_TTL + IDLE + TOMBSTONE_TTL).await;
}

#[apply(stores_that_sweep)]
async fn thousands_are_forgotten_in_turn_and_the_living_stay(store: Arc<impl Store>) {
    const EACH: u32 = 1100;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..2 * EACH {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut record = record();
            record.head.idle_timeout = if n < EACH { MINUTE } else { MINUTE + MS };
            let session_key = keep(&*store, session_key(n), &record).await;
            // The first were to be forgotten before the others, and stand in the sweeper's way.
            if n < EACH {
                store.touch(&session_key, &touch(1, just_before(START + MINUTE))).await.expect("the store answers");
            }
        });
    }
    tasks.join_all().await;

    let first = sweep(&*store, START + MINUTE + MS + TOMBSTONE_TTL).await;
    for n in 0..2 * EACH {
        assert_eq!(load(&*store, &session_key(n)).await.is_some(), n < EACH);
    }
    let second = sweep(&*store, START + 2 * MINUTE + TOMBSTONE_TTL).await;

    assert_eq!((first, second), (EACH as usize, EACH as usize));
}
