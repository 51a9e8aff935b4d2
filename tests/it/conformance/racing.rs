//! Races: calls that meet at one session, thousands of times, and what is true however they fall.

use std::future::Future;
use std::sync::Arc;

use cloakroom::session::{
    Changes, Edit, EditError, EndReason, Entries, Generation, Limits, Record, Rotation, Value, Verdict, Version,
};
use cloakroom::store::{Applied, Created, SessionKey, Store, Write};
use tokio::task::JoinSet;

use super::given::*;
use super::meeting::{meet, rounds};

/// Runs a race many times, at a place of its own each time where [`record`] is kept.
async fn many<S: Store, F>(store: Arc<S>, race: impl Fn(Arc<S>, SessionKey) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let snapshot = |n| {
        let store = Arc::clone(&store);
        async move { keep(&*store, session_key(n), &record()).await }
    };
    rounds(snapshot, |session_key| race(Arc::clone(&store), session_key)).await;
}

/// Writes as a task of its own can.
async fn applied(store: Arc<impl Store>, session_key: SessionKey, verifier_hash: u8, write: Write) -> Applied {
    apply(&*store, &session_key, &authority(verifier_hash, START), &write).await
}

fn number(record: &Record, name: &str) -> i64 {
    record.entries.to_map().get(name).and_then(|value| cloakroom::session::counter(value)).unwrap_or_default()
}

#[apply(every_store)]
async fn an_ended_session_stays_ended_however_many_saves_come(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let (saving, saved_at) = (Arc::clone(&store), session_key.clone());
        let saves = async move {
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(apply(&*saving, &saved_at, &authority(1, START), &save(increment("n", 1))).await);
            }
            answers
        };
        let end = applied(Arc::clone(&store), session_key.clone(), 1, Write::End(EndReason::Destroyed));

        let (answers, ended) = meet(saves, end).await;

        assert!(matches!(ended, Applied::Done(_)));
        let written = answers.iter().take_while(|answer| matches!(answer, Applied::Done(_))).count();
        let refused = Applied::Judged(gone(EndReason::Destroyed));
        assert!(answers[written..].iter().all(|answer| *answer == refused));
        let snapshot = snapshot(&*store, &session_key).await;
        assert_eq!(snapshot.head.end.map(|end| end.reason), Some(EndReason::Destroyed));
        assert_eq!((snapshot.head.version, snapshot.entries), (Version(1 + written as u64), Entries::default()));
    })
    .await;
}

#[apply(every_store)]
async fn saves_of_different_entries_all_survive_and_counters_add_up(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let mut saves = JoinSet::new();
        for n in 1..=4 {
            let changes = Changes {
                set: [(format!("k{n}"), Value::counter(n))].into(),
                increment: [("n".to_owned(), n), (format!("c{n}"), 1)].into(),
                ..Changes::default()
            };
            saves.spawn(applied(Arc::clone(&store), session_key.clone(), 1, save(changes)));
        }

        let answers = saves.join_all().await;

        assert!(answers.iter().all(|answer| matches!(answer, Applied::Done(_))));
        let snapshot = snapshot(&*store, &session_key).await;
        for n in 1..=4 {
            assert_eq!((number(&snapshot, &format!("k{n}")), number(&snapshot, &format!("c{n}"))), (n, 1));
        }
        assert_eq!((number(&snapshot, "n"), snapshot.head.version), (10, Version(5)));
        assert_eq!(snapshot.head.entry_count, 10);
    })
    .await;
}

#[apply(every_store)]
async fn exactly_one_privilege_rotation_wins(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let rotation = |new| rotate(Rotation::Always(privilege(1, new, START)));
        let one = applied(Arc::clone(&store), session_key.clone(), 1, rotation(2));
        let other = applied(Arc::clone(&store), session_key.clone(), 1, rotation(3));

        let (one, other) = meet(one, other).await;

        let superseded = Applied::Judged(gone(EndReason::Superseded));
        let winner = match (one, other) {
            (Applied::Done(_), loser) if loser == superseded => 2,
            (loser, Applied::Done(_)) if loser == superseded => 3,
            both => panic!("not one winner: {both:?}"),
        };
        assert_eq!(snapshot(&*store, &session_key).await.head.verifier_hash, verifier_hash(winner));
    })
    .await;
}

#[apply(every_store)]
async fn exactly_one_renewal_wins_and_the_other_is_told_its_nonce(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let rotation = |new| rotate(Rotation::Always(renewal(1, new, START)));
        let one = applied(Arc::clone(&store), session_key.clone(), 1, rotation(2));
        let other = applied(Arc::clone(&store), session_key.clone(), 1, rotation(3));

        let (one, other) = meet(one, other).await;

        let told = |new| Applied::Judged(Verdict::Grace(renewal(1, new, START).previous));
        let winner = match (one, other) {
            (Applied::Done(_), loser) if loser == told(2) => 2,
            (loser, Applied::Done(_)) if loser == told(3) => 3,
            both => panic!("not one winner: {both:?}"),
        };
        assert_eq!(snapshot(&*store, &session_key).await.head.verifier_hash, verifier_hash(winner));
    })
    .await;
}

#[apply(every_store)]
async fn exactly_one_creation_is_stored(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        // The place beside, where nothing is kept yet.
        let session_key = SessionKey { app: app("shop"), ..session_key };
        let create = |record: Record| {
            let (store, session_key) = (Arc::clone(&store), session_key.clone());
            async move { store.create(&session_key, &record).await.expect("the store answers") }
        };

        let (one, other) = meet(create(record()), create(full_record())).await;

        let winner = match (one, other) {
            (Created::Stored, Created::Occupied) => record(),
            (Created::Occupied, Created::Stored) => full_record(),
            both => panic!("not one winner: {both:?}"),
        };
        assert_eq!(snapshot(&*store, &session_key).await, winner);
    })
    .await;
}

#[apply(every_store)]
async fn a_save_that_meets_a_rotation_is_written_before_it_or_superseded(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let save = applied(Arc::clone(&store), session_key.clone(), 1, save(set("a", "1")));
        let rotation = rotate(Rotation::Always(privilege(1, 2, START)));
        let rotation = applied(Arc::clone(&store), session_key.clone(), 1, rotation);

        let (saved, rotated) = meet(save, rotation).await;

        let Applied::Done(rotated) = rotated else { panic!("not rotated") };
        let snapshot = snapshot(&*store, &session_key).await;
        assert_eq!(snapshot.head.public_view(), rotated.head);
        match saved {
            Applied::Done(_) => assert_eq!((snapshot.head.version, number(&snapshot, "a")), (Version(2), 1)),
            Applied::Judged(verdict) => {
                assert_eq!((verdict, snapshot.head.version), (gone(EndReason::Superseded), Version(1)));
                assert_eq!(snapshot.entries, record().entries);
            }
            other => panic!("neither written nor judged: {other:?}"),
        }
    })
    .await;
}

#[apply(every_store)]
async fn a_touch_that_meets_an_end_revives_nothing(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let (touching, touched_at) = (Arc::clone(&store), session_key.clone());
        let touch = async move { touching.touch(&touched_at, &touch(1, START + MINUTE)).await };
        let end = applied(Arc::clone(&store), session_key.clone(), 1, Write::End(EndReason::Destroyed));

        let (touched, ended) = meet(touch, end).await;

        touched.expect("the store answers");
        let Applied::Done(ended) = ended else { panic!("not ended") };
        assert_eq!(snapshot(&*store, &session_key).await.head.public_view(), ended.head);
    })
    .await;
}

#[apply(every_store)]
async fn a_session_that_meets_the_revocation_of_its_app_is_of_before_or_after(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let session_key = SessionKey { app: app(&format!("app-{}", session_key.id)), ..session_key };
        let (creating, created_at) = (Arc::clone(&store), session_key.clone());
        let create = async move { creating.create(&created_at, &record()).await };
        let (revoking, revoked) = (Arc::clone(&store), session_key.app.clone());
        let revoke = async move { revoking.revoke_app(&revoked, START).await };

        let (created, revoked) = meet(create, revoke).await;

        assert_eq!(created.expect("the store answers"), Created::Stored);
        revoked.expect("the store answers");
        let snapshot = load(&*store, &session_key).await.expect("it is kept");
        assert_eq!(snapshot.generation, Generation(1));
        let saved = apply(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
        match snapshot.record.head.generation {
            Generation(0) => assert_eq!(saved, Applied::Judged(gone(EndReason::Revoked))),
            _ => assert!(matches!(saved, Applied::Done(_))),
        }
    })
    .await;
}

#[apply(every_store)]
async fn two_saves_that_fit_make_no_session_that_does_not(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        let limits = Limits { max_entries: 2, max_bytes: 1024 };
        let save = |name| write(Edit { changes: Some(set(name, "1")), limits, ..edit() });
        let one = applied(Arc::clone(&store), session_key.clone(), 1, save("a"));
        let other = applied(Arc::clone(&store), session_key.clone(), 1, save("b"));

        let (one, other) = meet(one, other).await;

        let refused = Applied::Refused(EditError::TooManyEntries { count: 3 });
        assert!(matches!((&one, &other), (Applied::Done(_), loser) | (loser, Applied::Done(_)) if *loser == refused));
        assert_eq!(snapshot(&*store, &session_key).await.head.entry_count, 2);
    })
    .await;
}

#[apply(every_store)]
async fn a_reader_finds_every_save_that_was_acknowledged(store: Arc<impl Store>) {
    many(store, |store, session_key| async move {
        for n in 2..5 {
            done(&*store, &session_key, &authority(1, START), &save(set("a", "1"))).await;
            let (store, session_key) = (Arc::clone(&store), session_key.clone());
            let version = tokio::spawn(async move { snapshot(&*store, &session_key).await.head.version }).await;
            assert_eq!(version.expect("the load ends well"), Version(n));
        }
    })
    .await;
}
