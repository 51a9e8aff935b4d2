//! Races for the session of one key.

use std::collections::BTreeMap;

use cloakroom::grpc::wire::{Changes, Outcome};

use super::*;
use crate::support::calls::ChangesExt as _;
use crate::support::race::{Round, race};

/// A key of this round's own.
fn key(round: &Round) -> Vec<u8> {
    format!("key-of-a-race-{:08}", round.number).into_bytes()
}

fn text(name: &str, json: &str) -> (String, String) {
    (name.to_owned(), json.to_owned())
}

#[apply(on_every_store)]
async fn two_first_saves_at_once_both_survive(store: StoreKind) {
    race(store, settings(), |round| async move {
        let key = key(&round);
        let changes = |name: &str| Changes::default().set(name, "1").increment("n", 1);

        let (left, right) =
            tokio::join!(round.left.save(save(&key, changes("l"))), round.right.save(save(&key, changes("r"))));

        let mut outcomes = [left.unwrap().outcome(), right.unwrap().outcome()];
        outcomes.sort();
        assert_eq!(outcomes, [Outcome::Created, Outcome::Updated]);
        let entries: BTreeMap<String, String> = [text("l", "1"), text("n", "2"), text("r", "1")].into();
        assert_eq!(round.service.entries_of(&key).await, entries);
    })
    .await;
}

#[apply(on_every_store)]
async fn one_first_save_sent_twice_is_done_once(store: StoreKind) {
    race(store, settings(), |round| async move {
        let key = key(&round);
        let add = || SaveSessionRequest {
            request_id: "one-and-the-same".to_owned(),
            ..save(&key, Changes::default().increment("n", 1))
        };

        let (left, right) = tokio::join!(round.left.save(add()), round.right.save(add()));

        assert_eq!([left.unwrap().outcome(), right.unwrap().outcome()], [Outcome::Created; 2]);
        assert_eq!(round.service.entries_of(&key).await, [text("n", "1")].into());
    })
    .await;
}

#[apply(on_every_store)]
async fn no_save_revives_a_session_that_ends_meanwhile(store: StoreKind) {
    race(store, settings(), |round| async move {
        let key = key(&round);
        let add = || save(&key, Changes::default().increment("n", 1));
        round.left.save(add()).await.unwrap();

        let saves = async {
            let mut outcomes = Vec::new();
            for _ in 0..3 {
                outcomes.push(round.left.save(add()).await.unwrap().outcome());
            }
            outcomes
        };
        let (outcomes, ended) = tokio::join!(saves, round.right.destroy_as(destroy(&key)));

        assert_eq!(ended.outcome(), Outcome::Deleted);
        let done = outcomes.iter().take_while(|outcome| **outcome == Outcome::Updated).count();
        assert!(outcomes[done..].iter().all(|outcome| *outcome == Outcome::Gone), "{outcomes:?}");
        assert_eq!(null_reason(&round.service.open(open(&key)).await), "GONE");
    })
    .await;
}

#[apply(on_every_store)]
async fn a_first_save_and_an_end_leave_a_whole_session_or_none(store: StoreKind) {
    race(store, settings(), |round| async move {
        let key = key(&round);

        let (saved, ended) = tokio::join!(
            round.left.save(save(&key, Changes::default().set("a", "1"))),
            round.right.destroy_as(destroy(&key))
        );

        assert_eq!(saved.unwrap().outcome(), Outcome::Created);
        let opened = round.service.open(open(&key)).await;
        match ended.outcome() {
            Outcome::Deleted => assert_eq!(null_reason(&opened), "GONE"),
            _ => assert_eq!(json_entries(opened.session.unwrap()), [text("a", "1")].into()),
        }
    })
    .await;
}
