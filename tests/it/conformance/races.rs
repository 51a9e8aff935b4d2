//! Races of two calls on one session: what is true in whichever order they are applied.

use std::sync::Arc;

use cloakroom::session::{
    Changes, Denial, Edit, EditError, EndReason, Entries, Generation, Limits, Record, Rotation, Value, Version,
};
use cloakroom::store::{Applied, Created, SessionKey, Store, Write};
use tokio::task::JoinSet;

use super::concurrency::{ROUNDS_IN_SERIES, at_once, run_rounds};
use super::fixtures::*;
use crate::support::environment::race_rounds;

/// Runs a race in many rounds, each on a session of its own, which is [`record`].
async fn race_in_rounds<S: Store, F>(store: Arc<S>, race: impl Fn(Arc<S>, SessionKey) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let new_session = |n| {
        let store = Arc::clone(&store);
        async move { create(&*store, session_key(n), &record()).await }
    };
    run_rounds(new_session, |session_key| race(Arc::clone(&store), session_key)).await;
}

/// Applies a write, as a future that a task can own.
async fn owned_apply(store: Arc<impl Store>, session_key: SessionKey, verifier_number: u8, write: Write) -> Applied {
    apply(&*store, &session_key, &by_token(verifier_number, START), &write).await
}

fn number(record: &Record, name: &str) -> i64 {
    record.entries.to_map().get(name).and_then(|value| cloakroom::session::counter(value)).unwrap_or_default()
}

#[apply(every_store_and_move)]
async fn no_save_revives_a_session_that_ends_meanwhile(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let (saving, saved_key) = (Arc::clone(&store), session_key.clone());
        let saves = async move {
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(apply(&*saving, &saved_key, &by_token(1, START), &save(increment("n", 1))).await);
            }
            answers
        };
        let end = owned_apply(Arc::clone(&store), session_key.clone(), 1, Write::End(EndReason::Destroyed));

        let (answers, ended) = at_once(saves, end).await;

        assert!(matches!(ended, Applied::Done(_)));
        let written = answers.iter().take_while(|answer| matches!(answer, Applied::Done(_))).count();
        let refused = Applied::Denied(gone(EndReason::Destroyed));
        assert!(answers[written..].iter().all(|answer| *answer == refused));
        let record = load_record(&*store, &session_key).await;
        assert_eq!(record.head.end.map(|end| end.reason), Some(EndReason::Destroyed));
        assert_eq!((record.head.version, record.entries), (Version(1 + written as u64), Entries::default()));
    })
    .await;
}

#[apply(every_store_and_move)]
async fn saves_of_different_entries_all_survive_and_counters_add_up(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let mut saves = JoinSet::new();
        for n in 1..=4 {
            let changes = Changes {
                set: [(format!("k{n}"), Value::counter(n))].into(),
                increment: [("n".to_owned(), n), (format!("c{n}"), 1)].into(),
                ..Changes::default()
            };
            saves.spawn(owned_apply(Arc::clone(&store), session_key.clone(), 1, save(changes)));
        }

        let answers = saves.join_all().await;

        assert!(answers.iter().all(|answer| matches!(answer, Applied::Done(_))));
        let record = load_record(&*store, &session_key).await;
        for n in 1..=4 {
            assert_eq!((number(&record, &format!("k{n}")), number(&record, &format!("c{n}"))), (n, 1));
        }
        assert_eq!((number(&record, "n"), record.head.version), (10, Version(5)));
        assert_eq!(record.head.entry_count, 10);
    })
    .await;
}

#[apply(every_store_and_move)]
async fn exactly_one_privilege_rotation_wins(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let rotation = |new| rotate(Rotation::Always(privilege(1, new, START)));
        let one = owned_apply(Arc::clone(&store), session_key.clone(), 1, rotation(2));
        let other = owned_apply(Arc::clone(&store), session_key.clone(), 1, rotation(3));

        let (one, other) = at_once(one, other).await;

        let superseded = Applied::Denied(gone(EndReason::Superseded));
        let winner = match (one, other) {
            (Applied::Done(_), loser) if loser == superseded => 2,
            (loser, Applied::Done(_)) if loser == superseded => 3,
            both => panic!("not one winner: {both:?}"),
        };
        assert_eq!(load_record(&*store, &session_key).await.head.verifier_hash, verifier_hash(winner));
    })
    .await;
}

#[apply(every_store_and_move)]
async fn exactly_one_renewal_wins_and_the_other_gets_its_nonce(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let rotation = |new| rotate(Rotation::Always(renewal(1, new, START)));
        let one = owned_apply(Arc::clone(&store), session_key.clone(), 1, rotation(2));
        let other = owned_apply(Arc::clone(&store), session_key.clone(), 1, rotation(3));

        let (one, other) = at_once(one, other).await;

        let grace_of = |new| Applied::Denied(Denial::Grace(renewal(1, new, START).previous));
        let winner = match (one, other) {
            (Applied::Done(_), loser) if loser == grace_of(2) => 2,
            (loser, Applied::Done(_)) if loser == grace_of(3) => 3,
            both => panic!("not one winner: {both:?}"),
        };
        assert_eq!(load_record(&*store, &session_key).await.head.verifier_hash, verifier_hash(winner));
    })
    .await;
}

#[apply(every_store_and_move)]
async fn exactly_one_creation_is_stored(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        // The same id in another app, where there is no session yet.
        let session_key = SessionKey { app: app("shop"), ..session_key };
        let create = |record: Record| {
            let (store, session_key) = (Arc::clone(&store), session_key.clone());
            async move { store.create(&session_key, &record).await.expect("the store answers") }
        };

        let (one, other) = at_once(create(record()), create(full_record())).await;

        let winner = match (one, other) {
            (Created::Stored, Created::Occupied) => record(),
            (Created::Occupied, Created::Stored) => full_record(),
            both => panic!("not one winner: {both:?}"),
        };
        assert_eq!(load_record(&*store, &session_key).await, winner);
    })
    .await;
}

#[apply(every_store_and_move)]
async fn a_save_that_races_a_rotation_is_written_before_it_or_superseded(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let save = owned_apply(Arc::clone(&store), session_key.clone(), 1, save(set("a", "1")));
        let rotation = rotate(Rotation::Always(privilege(1, 2, START)));
        let rotation = owned_apply(Arc::clone(&store), session_key.clone(), 1, rotation);

        let (saved, rotated) = at_once(save, rotation).await;

        let Applied::Done(rotated) = rotated else { panic!("not rotated") };
        let stored = load_record(&*store, &session_key).await;
        assert_eq!(stored.head.public_view(), rotated.head);
        match saved {
            Applied::Done(_) => assert_eq!((stored.head.version, number(&stored, "a")), (Version(2), 1)),
            Applied::Denied(verdict) => {
                assert_eq!((verdict, stored.head.version), (gone(EndReason::Superseded), Version(1)));
                assert_eq!(stored.entries, record().entries);
            }
            other => panic!("neither written nor judged: {other:?}"),
        }
    })
    .await;
}

#[apply(every_store_and_move)]
async fn a_touch_that_races_an_end_revives_nothing(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let (touching, touched_key) = (Arc::clone(&store), session_key.clone());
        let touch = async move { touching.touch(&touched_key, &touch(1, START + MINUTE)).await };
        let end = owned_apply(Arc::clone(&store), session_key.clone(), 1, Write::End(EndReason::Destroyed));

        let (touched, ended) = at_once(touch, end).await;

        touched.expect("the store answers");
        let Applied::Done(ended) = ended else { panic!("not ended") };
        assert_eq!(load_record(&*store, &session_key).await.head.public_view(), ended.head);
    })
    .await;
}

#[apply(stores_of_few_partitions)]
async fn a_creation_that_races_the_revocation_of_its_app_is_before_or_after_it(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let session_key = SessionKey { app: app(&format!("app-{}", session_key.id)), ..session_key };
        race_a_revocation_of_the_app(store, session_key, Generation(0)).await;
    })
    .await;
}

#[apply(stores_of_many_partitions)]
async fn a_creation_that_races_the_revocation_of_many_partitions_is_before_or_after_it(store: Arc<impl Store>) {
    for n in 0..race_rounds(ROUNDS_IN_SERIES) {
        race_a_revocation_of_the_app(Arc::clone(&store), key_in("shop", n), Generation(n)).await;
    }
}

/// Creates a session while its app, which had this generation, is revoked.
async fn race_a_revocation_of_the_app(store: Arc<impl Store>, session_key: SessionKey, before: Generation) {
    let after = Generation(before.0 + 1);
    let (creating, created_key) = (Arc::clone(&store), session_key.clone());
    let create = async move { creating.create(&created_key, &record()).await };
    let (revoking, revoked_app) = (Arc::clone(&store), session_key.app.clone());
    let revoke = async move { revoking.revoke_app(&revoked_app, START).await };

    let (created, revoked) = at_once(create, revoke).await;

    assert_eq!(created.expect("the store answers"), Created::Stored);
    revoked.expect("the store answers");
    let snapshot = load(&*store, &session_key).await.expect("there is a record");
    assert_eq!(snapshot.generation, after);
    let saved = apply(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
    match snapshot.record.head.generation {
        generation if generation == before => assert_eq!(saved, Applied::Denied(gone(EndReason::Revoked))),
        generation => {
            assert_eq!(generation, after);
            assert!(matches!(saved, Applied::Done(_)), "{saved:?}");
        }
    }
}

#[apply(every_store_and_move)]
async fn two_saves_at_once_do_not_exceed_a_limit(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        let limits = Limits { max_entries: 2, max_bytes: 1024 };
        let save = |name| write(Edit { changes: Some(set(name, "1")), limits, ..edit() });
        let one = owned_apply(Arc::clone(&store), session_key.clone(), 1, save("a"));
        let other = owned_apply(Arc::clone(&store), session_key.clone(), 1, save("b"));

        let (one, other) = at_once(one, other).await;

        let refused = Applied::Refused(EditError::TooManyEntries { count: 3 });
        assert!(matches!((&one, &other), (Applied::Done(_), loser) | (loser, Applied::Done(_)) if *loser == refused));
        assert_eq!(load_record(&*store, &session_key).await.head.entry_count, 2);
    })
    .await;
}

#[apply(every_store_and_move)]
async fn a_load_finds_every_acknowledged_save(store: Arc<impl Store>) {
    race_in_rounds(store, |store, session_key| async move {
        for n in 2..5 {
            commit(&*store, &session_key, &by_token(1, START), &save(set("a", "1"))).await;
            let (store, session_key) = (Arc::clone(&store), session_key.clone());
            let version = tokio::spawn(async move { load_record(&*store, &session_key).await.head.version }).await;
            assert_eq!(version.expect("the load does not panic"), Version(n));
        }
    })
    .await;
}
