//! Creating and loading a session.

use std::sync::Arc;

use cloakroom::session::{EndReason, Fingerprint, Generation, IdempotencyRecord, WriteEffect};
use cloakroom::store::{Created, Snapshot, Store, Write};

use super::fixtures::*;

#[apply(every_store_and_move)]
async fn a_created_session_is_loaded_as_it_was(store: Arc<impl Store>) {
    let mut record = full_record();
    let idempotency = |n: u8| IdempotencyRecord {
        fingerprint: Fingerprint::new(&[n], &[n]),
        time: START,
        effect: WriteEffect::Created,
    };
    record.head.idempotency = (0..16).map(idempotency).collect();
    record.head.previous = Some(Box::new(renewal(4, 5, START).previous));

    let session_key = create(&*store, session_key(1), &record).await;

    let snapshot = load(&*store, &session_key).await;
    assert_eq!(snapshot, Some(Snapshot { generation: record.head.generation, record }));
}

#[apply(every_store_and_move)]
async fn a_session_without_entries_is_stored(store: Arc<impl Store>) {
    let mut record = record();
    record.entries = Default::default();
    (record.head.entry_count, record.head.entry_bytes) = (0, 0);

    let session_key = create(&*store, session_key(1), &record).await;

    assert_eq!(load_record(&*store, &session_key).await, record);
}

#[apply(every_store_and_move)]
async fn a_missing_session_is_none(store: Arc<impl Store>) {
    create_session(&*store).await;

    assert_eq!(load(&*store, &session_key(2)).await, None);
}

#[apply(every_store_and_move)]
async fn a_second_creation_finds_the_key_occupied(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;

    let created = store.create(&session_key, &full_record()).await;

    assert_eq!(created.expect("the store answers"), Created::Occupied);
    assert_eq!(load_record(&*store, &session_key).await, record());
}

#[apply(every_store_and_move)]
async fn a_tombstone_occupies_its_key(store: Arc<impl Store>) {
    let session_key = create_session(&*store).await;
    commit(&*store, &session_key, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    let tombstone = load_record(&*store, &session_key).await;

    let created = store.create(&session_key, &record()).await;

    assert_eq!(created.expect("the store answers"), Created::Occupied);
    assert_eq!(load_record(&*store, &session_key).await, tombstone);
}

#[apply(every_store_and_move)]
async fn the_same_id_in_two_apps_is_two_sessions(store: Arc<impl Store>) {
    let here = create(&*store, key_in("shop", 1), &record()).await;
    let there = create(&*store, key_in("shop-2", 1), &record()).await;

    commit(&*store, &here, &by_token(1, START), &Write::End(EndReason::Destroyed)).await;

    assert_eq!(load_record(&*store, &there).await, record());
}

#[apply(stores_without_moves)]
async fn a_creation_takes_the_generation_of_its_app(store: Arc<impl Store>) {
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let session_key = create_session(&*store).await;

    let snapshot = load(&*store, &session_key).await.expect("there is a record");
    assert_eq!((snapshot.record.head.generation, snapshot.generation), (Generation(1), Generation(1)));
}

#[apply(every_store_and_move)]
async fn the_store_answers_a_ping(store: Arc<impl Store>) {
    store.ping().await.expect("the store answers");
}
