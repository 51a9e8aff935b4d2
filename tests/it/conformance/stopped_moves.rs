//! Moves that stop somewhere: what they leave behind is never used, and does not last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::session::{Denial, EndReason, Head, ImportedFrom, Record};
use cloakroom::store::{
    Applied, Created, Embedded, EmbeddedSettings, Error, ImportApp, Index as _, IndexEntry, MoveMode, MoveReport,
    Mover, Moving, Redis, RedisSettings, Settings, SideSettings, SkipReason, Store, StoreKind, SubjectRef, Write,
};
use cloakroom::types::{ManualClock, Time, random};
use tempfile::TempDir;
use tokio::task::yield_now;

use super::concurrency::{at_once, run_rounds};
use super::fixtures::*;
use crate::support::redis::RedisServer;
use crate::support::tmpfs::Tmpfs;

/// A file and a Redis.
struct Sides {
    embedded: EmbeddedSettings,
    redis: RedisSettings,
    _folder: TempDir,
}

impl Sides {
    fn new() -> Self {
        let (embedded, folder) = super::embedded_settings();
        Self { embedded, redis: crate::support::redis::settings(), _folder: folder }
    }

    /// Stores some sessions in the file.
    async fn fill_file(&self) {
        let file = Embedded::open(&self.embedded).expect("the folder is empty");
        for n in 0..ROUNDS {
            create(&file, session_key(n), &full_record()).await;
        }
    }

    fn file(&self) -> Settings {
        Settings { kind: StoreKind::Embedded, embedded: self.embedded.clone(), ..Settings::default() }
    }

    fn redis(&self) -> Settings {
        Settings { kind: StoreKind::Redis, redis: self.redis.clone(), ..Settings::default() }
    }

    /// Opens both; sessions move to the first one, and are created there.
    fn moving(to: Settings, from: Settings) -> Arc<Moving> {
        super::open_moving(&Settings { previous: Some(side(from)), ..to })
    }

    /// Opens both; sessions will move to the first one, and are still created in the other one.
    fn announced(to: Settings, from: Settings) -> Arc<Moving> {
        super::open_moving(&Settings { next: Some(side(to)), ..from })
    }
}

fn side(settings: Settings) -> SideSettings {
    let Settings { kind, embedded, redis, .. } = settings;
    SideSettings { kind, embedded, redis }
}

fn mover(store: &Arc<Moving>, now: Time, mode: MoveMode) -> Mover {
    let apps = BTreeMap::from([(app("default"), ImportApp { absolute_timeout: SPAN })]);
    Mover::new(Arc::clone(store), Arc::new(ManualClock::new(now)), apps, mode)
}

/// Moves until it is done.
async fn finish(mut mover: Mover) -> MoveReport {
    while mover.advance().await.expect("the stores answer") {}
    mover.report().clone()
}

/// Moves until it is done, or until other tasks had so many turns.
async fn stop_after(turns: u32, mut mover: Mover) {
    let end = async {
        for _ in 0..turns {
            yield_now().await;
        }
    };
    tokio::select! {
        () = async { while mover.advance().await.expect("the stores answer") {} } => {}
        () = end => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ended_after_a_stopped_move_never_comes_back() {
    let sides = Sides::new();
    sides.fill_file().await;

    let store = Sides::moving(sides.redis(), sides.file());
    for turns in 0..ROUNDS {
        stop_after(turns * 20, mover(&store, START, MoveMode::Write)).await;
        commit(&*store, &session_key(turns), &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    }
    let later = START + TOMBSTONE_TTL + MINUTE;
    while store.sweep(later).await.expect("the stores answer") > 0 {}

    for n in 0..ROUNDS {
        assert_ended(&*store, n, later).await;
    }
    // As after a restart without the previous store.
    let last = finish(mover(&store, later, MoveMode::Write)).await;
    assert!(last.is_complete, "{last:?}");
    let redis = Redis::new(&sides.redis).expect("the settings are right");
    for n in 0..ROUNDS {
        assert_ended(&redis, n, later).await;
    }
}

async fn assert_ended(store: &impl Store, n: u32, now: Time) {
    let applied = apply(store, &session_key(n), &by_token(1, now), &save(set("a", "2"))).await;
    assert!(matches!(applied, Applied::Missing | Applied::Denied(Denial::Gone(_))), "session {n}: {applied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_move_there_and_back_are_what_they_were() {
    let sides = Sides::new();
    let file = Embedded::open(&sides.embedded).expect("the folder is empty");
    for n in 0..ROUNDS {
        create(&file, session_key(n), &full_record()).await;
    }
    let ended = commit(&file, &session_key(0), &by_token(1, START), &Write::End(EndReason::Destroyed)).await;
    assert!(ended.head.end.is_some());
    let mut before = Vec::new();
    for n in 0..ROUNDS {
        before.push(load(&file, &session_key(n)).await);
    }
    drop(file);

    for (to, from) in [(sides.redis(), sides.file()), (sides.file(), sides.redis())] {
        let store = Sides::moving(to, from);
        let dry = finish(mover(&store, START, MoveMode::DryRun)).await;
        assert_eq!((dry.live, dry.ended), (u64::from(ROUNDS) - 1, 1));
        let report = finish(mover(&store, START, MoveMode::Write)).await;
        assert_eq!((report.live, report.ended, report.is_complete), (u64::from(ROUNDS) - 1, 1, true), "{report:?}");
    }

    let file = Embedded::open(&sides.embedded).expect("nobody has it open");
    for (n, before) in (0..ROUNDS).zip(before) {
        assert_eq!(load(&file, &session_key(n)).await, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_an_app_revocation_ended_does_not_move_alive() {
    let sides = Sides::new();
    let file = Embedded::open(&sides.embedded).expect("the folder is empty");
    create(&file, session_key(1), &record()).await;
    file.revoke_app(&app("default"), START + MINUTE).await.expect("the store answers");
    create(&file, session_key(2), &record()).await;
    drop(file);

    let store = Sides::moving(sides.redis(), sides.file());
    let report = finish(mover(&store, START + Duration::from_secs(120), MoveMode::Write)).await;

    assert_eq!((report.live, report.ended), (1, 1));
    let redis = Redis::new(&sides.redis).expect("the settings are right");
    let applied = apply(&redis, &session_key(1), &by_token(1, START + MINUTE), &save(set("a", "2"))).await;
    assert_eq!(applied, Applied::Denied(gone(EndReason::Revoked)));
    commit(&redis, &session_key(2), &by_token(1, START + MINUTE), &save(set("a", "2"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_lost_by_moves_that_stop_and_turn_round() {
    let sides = Sides::new();
    let file = Embedded::open(&sides.embedded).expect("the folder is empty");
    let mut expected = Vec::new();
    for n in 0..ROUNDS {
        create(&file, session_key(n), &full_record()).await;
        expected.push(load_record(&file, &session_key(n)).await);
    }
    drop(file);

    for turn in 0..STOPPED_MOVES {
        let [direction, phase, low, high] = random::bytes();
        let (to, from) = if direction % 2 == 0 { (sides.redis(), sides.file()) } else { (sides.file(), sides.redis()) };
        let store = if phase % 4 == 0 { Sides::announced(to, from) } else { Sides::moving(to, from) };
        for (n, expected) in (0..ROUNDS).zip(&mut expected) {
            let session_key = session_key(n);
            // Each of these may be the first one to find what the move before has left.
            if n % STOPPED_MOVES == turn {
                let write =
                    if turn == 0 { Write::End(EndReason::Destroyed) } else { save(set("a", &turn.to_string())) };
                if expected.head.end.is_none() {
                    commit(&*store, &session_key, &by_token(1, START), &write).await;
                    *expected = load_record(&*store, &session_key).await;
                }
            } else if n % STOPPED_MOVES == (turn + 1) % STOPPED_MOVES {
                let created = store.create(&session_key, &record()).await.expect("the stores answer");
                assert_eq!(created, Created::Occupied, "session {n} in turn {turn}");
            }
            let found = load(&*store, &session_key).await.map(|snapshot| snapshot.record);
            assert_eq!(found.as_ref(), Some(&*expected), "session {n} in turn {turn}");
        }
        stop_after(u32::from(u16::from_be_bytes([high, low]) % 4096), mover(&store, START, MoveMode::Write)).await;
    }

    let store = Sides::moving(sides.redis(), sides.file());
    let last = finish(mover(&store, START, MoveMode::Write)).await;
    assert!(last.is_complete, "{last:?}");
    let redis = Redis::new(&sides.redis).expect("the settings are right");
    for (n, expected) in (0..ROUNDS).zip(expected) {
        assert_eq!(load_record(&redis, &session_key(n)).await, expected, "session {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_move_that_turned_round_moves_every_session_back() {
    let sides = Sides::new();
    sides.fill_file().await;
    let store = Sides::moving(sides.redis(), sides.file());
    for turns in 0..STOPPED_MOVES {
        stop_after(turns * 100, mover(&store, START, MoveMode::Write)).await;
    }
    drop(store);

    // Nobody opens a session before they move back.
    let store = Sides::moving(sides.file(), sides.redis());
    let dry = finish(mover(&store, START, MoveMode::DryRun)).await;
    let back = finish(mover(&store, START, MoveMode::Write)).await;

    assert!(back.is_complete, "{back:?}");
    assert_eq!(dry.live, back.live, "a dry run counts what would move");
    drop((back, dry, store));
    let file = Embedded::open(&sides.embedded).expect("nobody has it open");
    for n in 0..ROUNDS {
        assert_eq!(load_record(&file, &session_key(n)).await, full_record(), "session {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_created_while_the_previous_redis_is_full() {
    let (sides, server) = (Sides::new(), RedisServer::start());
    let full = RedisSettings { url: server.url(), ..RedisSettings::default() };
    let redis = Redis::new(&full).expect("the settings are right");
    create(&redis, session_key(1), &record()).await;
    server.cli(&["config", "set", "maxmemory", "1"]);
    let refused = redis.create(&session_key(2), &record()).await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");

    let from = Settings { kind: StoreKind::Redis, redis: full, ..Settings::default() };
    creates_beside_a_full_store(&Sides::moving(sides.file(), from)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_created_while_the_disk_of_the_previous_file_is_full() {
    let Some(disk) = Tmpfs::mount("6m") else { return };
    let sides = Sides::new();
    let embedded = EmbeddedSettings { path: disk.path().join("data"), ..EmbeddedSettings::default() };
    let file = Embedded::open(&embedded).expect("the folder is empty");
    create(&file, session_key(1), &record()).await;
    let mut large = full_record();
    large.head.context = context(&"x".repeat(200));
    for filler in 0..1_000_000 {
        if let Err(error) = file.create(&key_in("filler", filler), &large).await {
            assert!(matches!(error, Error::Full(_)), "{error:?}");
            break;
        }
    }
    drop(file);

    let from = Settings { kind: StoreKind::Embedded, embedded, ..Settings::default() };
    creates_beside_a_full_store(&Sides::moving(sides.redis(), from)).await;
}

async fn creates_beside_a_full_store(store: &Arc<Moving>) {
    let subject_ref = SubjectRef { app: app("default"), subject: subject("anna") };
    for n in 2..1000 {
        create(&**store, session_key(n), &full_record()).await;
        let entry = IndexEntry { id: session_key(n).id, add_time: START, until: START + SPAN };
        store.add_to_index(&subject_ref, &entry).await.expect("the new store has room");
    }
    commit(&**store, &session_key(2), &by_token(1, START), &save(set("a", "2"))).await;
    finish(mover(store, START, MoveMode::Write)).await;
    assert!(load(&**store, &session_key(1)).await.is_some());
    assert!(load(&**store, &session_key(999)).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_an_imported_session_stays_as_long_as_the_session() {
    let sides = Sides::new();
    let file = Embedded::open(&sides.embedded).expect("the folder is empty");
    let imported_from = ImportedFrom { issued: Some(just_before(START)), until: START + 30 * SPAN };
    let record = Record { head: Head { imported_from: Some(imported_from), ..record().head }, ..record() };
    create(&file, session_key(1), &record).await;
    drop(file);
    let store = Sides::moving(sides.redis(), sides.file());
    finish(mover(&store, START, MoveMode::Write)).await;
    drop(store);

    // The session has expired, but its credential is still valid.
    let file = Embedded::open(&sides.embedded).expect("nobody has it open");
    while file.sweep(START + 10 * SPAN).await.expect("the store answers") > 0 {}
    drop(file);

    let store = Sides::announced(sides.redis(), sides.file());
    let created = store.create(&session_key(1), &record).await.expect("the stores answer");
    assert_eq!(created, Created::Occupied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_both_directions_create_one_session_of_an_id() {
    let of = |redis| Settings { kind: StoreKind::Redis, redis, ..Settings::default() };
    let (one, other) = (of(crate::support::redis::settings()), of(crate::support::redis::settings()));
    let left = Sides::moving(one.clone(), other.clone());
    let right = Sides::moving(other, one);
    let create = |store: &Arc<Moving>, n| {
        let store = Arc::clone(store);
        // Some give up after many tries.
        async move { matches!(store.create(&session_key(n), &record()).await, Ok(Created::Stored)) }
    };

    run_rounds(std::future::ready, |n| {
        let both = at_once(create(&left, n), create(&right, n));
        async move {
            let stored = both.await;
            assert_ne!(stored, (true, true), "session {n}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_are_removed_though_a_corrupt_session_stays() {
    let sides = Sides::new();
    let file = Embedded::open(&sides.embedded).expect("the folder is empty");
    for n in 1..=3 {
        create(&file, session_key(n), &record()).await;
    }
    drop(file);
    let store = Sides::moving(sides.redis(), sides.file());
    finish(mover(&store, START, MoveMode::Write)).await;
    drop(store);
    let key = |n| {
        let id = session_key(n).id;
        format!("{}:{{{:02}}}:default:{id}", sides.redis.key_prefix, id.as_bytes()[0] >> 2)
    };
    let mut connection = redis::Client::open(sides.redis.url.as_str()).expect("the address is valid").get_connection();
    let connection = connection.as_mut().expect("Redis answers");
    let damaged: i64 = redis::cmd("HSET").arg(key(1)).arg("m").arg("no session").query(connection).expect("it answers");
    let removed: i64 = redis::cmd("DEL").arg(key(2)).query(connection).expect("it answers");
    assert_eq!((damaged, removed), (0, 1));

    let store = Sides::moving(sides.file(), sides.redis());
    let back = finish(mover(&store, START, MoveMode::Write)).await;

    assert_eq!(back.skipped, BTreeMap::from([(SkipReason::Corrupt, 1)]));
    assert!(!back.is_complete);
    drop((back, store));
    let file = Embedded::open(&sides.embedded).expect("nobody has it open");
    assert!(load(&file, &session_key(1)).await.is_some(), "no session of the corrupt one's id is created in the file");
    assert_eq!(load(&file, &session_key(2)).await, None);
    assert_eq!(load_record(&file, &session_key(3)).await, record());
}

/// More than one page of a move.
const ROUNDS: u32 = 100;

/// How often moves stop.
const STOPPED_MOVES: u32 = 20;
