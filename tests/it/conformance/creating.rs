//! Creating and loading: what is put in comes out, once.

use std::sync::Arc;

use cloakroom::session::{EndReason, Fingerprint, Generation, Mark, Outcome};
use cloakroom::store::{Created, Kept, Store, Write};

use super::given::*;

async fn a_created_session_is_kept_as_it_is(store: Arc<impl Store>) {
    let mut record = full_record();
    let mark = |n: u8| Mark { fingerprint: Fingerprint::new(&[n], &[n]), time: START, outcome: Outcome::Created };
    record.head.marks = (0..16).map(mark).collect();
    record.head.previous = Some(Box::new(renewal(4, 5, START).previous));

    let place = keep(&*store, place(1), &record).await;

    let kept = load(&*store, &place).await;
    assert_eq!(kept, Some(Kept { generation: record.head.generation, record }));
}

async fn a_session_without_entries_is_kept(store: Arc<impl Store>) {
    let mut record = record();
    record.entries = Default::default();
    (record.head.entry_count, record.head.entry_bytes) = (0, 0);

    let place = keep(&*store, place(1), &record).await;

    assert_eq!(kept(&*store, &place).await, record);
}

async fn what_is_not_kept_is_none(store: Arc<impl Store>) {
    one_session(&*store).await;

    assert_eq!(load(&*store, &place(2)).await, None);
}

async fn a_second_creation_finds_the_place_occupied(store: Arc<impl Store>) {
    let place = one_session(&*store).await;

    let created = store.create(&place, &full_record()).await;

    assert_eq!(created.expect("the store answers"), Created::Occupied);
    assert_eq!(kept(&*store, &place).await, record());
}

async fn a_tombstone_occupies_its_place(store: Arc<impl Store>) {
    let place = one_session(&*store).await;
    done(&*store, &place, &by(1, START), &Write::End(EndReason::Destroyed)).await;
    let tombstone = kept(&*store, &place).await;

    let created = store.create(&place, &record()).await;

    assert_eq!(created.expect("the store answers"), Created::Occupied);
    assert_eq!(kept(&*store, &place).await, tombstone);
}

async fn one_id_in_two_apps_is_two_sessions(store: Arc<impl Store>) {
    let here = keep(&*store, place_of("shop", 1), &record()).await;
    let there = keep(&*store, place_of("shop-2", 1), &record()).await;

    done(&*store, &here, &by(1, START), &Write::End(EndReason::Destroyed)).await;

    assert_eq!(kept(&*store, &there).await, record());
}

async fn a_creation_takes_the_generation_of_its_app(store: Arc<impl Store>) {
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let place = one_session(&*store).await;

    let kept = load(&*store, &place).await.expect("it is kept");
    assert_eq!((kept.record.head.generation, kept.generation), (Generation(1), Generation(1)));
}

async fn the_store_answers_a_ping(store: Arc<impl Store>) {
    store.ping().await.expect("the store answers");
}

facts_of_every_store!(
    a_created_session_is_kept_as_it_is,
    a_session_without_entries_is_kept,
    what_is_not_kept_is_none,
    a_second_creation_finds_the_place_occupied,
    a_tombstone_occupies_its_place,
    one_id_in_two_apps_is_two_sessions,
    a_creation_takes_the_generation_of_its_app,
    the_store_answers_a_ping,
);
