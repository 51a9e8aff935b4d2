//! Creating and loading: what is put in comes out, once.

use std::sync::Arc;

use cloakroom::session::{EndReason, Fingerprint, Generation, IdempotencyRecord, WriteEffect};
use cloakroom::store::{Created, Snapshot, Store, Write};

use super::given::*;

#[apply(every_store)]
async fn a_created_session_is_kept_as_it_is(store: Arc<impl Store>) {
    let mut record = full_record();
    let idempotency = |n: u8| IdempotencyRecord {
        fingerprint: Fingerprint::new(&[n], &[n]),
        time: START,
        effect: WriteEffect::Created,
    };
    record.head.idempotency = (0..16).map(idempotency).collect();
    record.head.previous = Some(Box::new(renewal(4, 5, START).previous));

    let session_key = keep(&*store, session_key(1), &record).await;

    let snapshot = load(&*store, &session_key).await;
    assert_eq!(snapshot, Some(Snapshot { generation: record.head.generation, record }));
}

#[apply(every_store)]
async fn a_session_without_entries_is_kept(store: Arc<impl Store>) {
    let mut record = record();
    record.entries = Default::default();
    (record.head.entry_count, record.head.entry_bytes) = (0, 0);

    let session_key = keep(&*store, session_key(1), &record).await;

    assert_eq!(snapshot(&*store, &session_key).await, record);
}

#[apply(every_store)]
async fn what_is_not_kept_is_none(store: Arc<impl Store>) {
    one_session(&*store).await;

    assert_eq!(load(&*store, &session_key(2)).await, None);
}

#[apply(every_store)]
async fn a_second_creation_finds_the_place_occupied(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;

    let created = store.create(&session_key, &full_record()).await;

    assert_eq!(created.expect("the store answers"), Created::Occupied);
    assert_eq!(snapshot(&*store, &session_key).await, record());
}

#[apply(every_store)]
async fn a_tombstone_occupies_its_place(store: Arc<impl Store>) {
    let session_key = one_session(&*store).await;
    done(&*store, &session_key, &authority(1, START), &Write::End(EndReason::Destroyed)).await;
    let tombstone = snapshot(&*store, &session_key).await;

    let created = store.create(&session_key, &record()).await;

    assert_eq!(created.expect("the store answers"), Created::Occupied);
    assert_eq!(snapshot(&*store, &session_key).await, tombstone);
}

#[apply(every_store)]
async fn one_id_in_two_apps_is_two_sessions(store: Arc<impl Store>) {
    let here = keep(&*store, place_of("shop", 1), &record()).await;
    let there = keep(&*store, place_of("shop-2", 1), &record()).await;

    done(&*store, &here, &authority(1, START), &Write::End(EndReason::Destroyed)).await;

    assert_eq!(snapshot(&*store, &there).await, record());
}

#[apply(every_store)]
async fn a_creation_takes_the_generation_of_its_app(store: Arc<impl Store>) {
    store.revoke_app(&app("default"), START).await.expect("the store answers");

    let session_key = one_session(&*store).await;

    let snapshot = load(&*store, &session_key).await.expect("it is kept");
    assert_eq!((snapshot.record.head.generation, snapshot.generation), (Generation(1), Generation(1)));
}

#[apply(every_store)]
async fn the_store_answers_a_ping(store: Arc<impl Store>) {
    store.ping().await.expect("the store answers");
}
