//! Moves that stop somewhere: what they leave behind is never used, and does not last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::session::{Denial, EndReason};
use cloakroom::store::{
    Applied, Embedded, EmbeddedSettings, ImportApp, MoveMode, Mover, Moving, Redis, RedisSettings, Settings,
    SideSettings, Store, StoreKind, Write,
};
use cloakroom::types::{ManualClock, Time};
use tempfile::TempDir;
use tokio::task::yield_now;

use super::fixtures::*;

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

    fn file(&self) -> Settings {
        Settings { kind: StoreKind::Embedded, embedded: self.embedded.clone(), ..Settings::default() }
    }

    fn redis(&self) -> Settings {
        Settings { kind: StoreKind::Redis, redis: self.redis.clone(), ..Settings::default() }
    }

    /// Opens both; sessions move to the first one.
    fn moving(to: Settings, from: Settings) -> Arc<Moving> {
        let Settings { kind, embedded, redis, .. } = from;
        super::open_moving(&Settings { previous: Some(SideSettings { kind, embedded, redis }), ..to })
    }
}

fn mover(store: &Arc<Moving>, now: Time, mode: MoveMode) -> Mover {
    let apps = BTreeMap::from([(app("default"), ImportApp { absolute_timeout: SPAN })]);
    Mover::new(Arc::clone(store), Arc::new(ManualClock::new(now)), apps, mode)
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
    let file = Embedded::open(&sides.embedded).expect("the folder is empty");
    for n in 0..ROUNDS {
        create(&file, session_key(n), &full_record()).await;
    }
    drop(file);

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
    let mut last = mover(&store, later, MoveMode::Write);
    while last.advance().await.expect("the stores answer") {}
    assert!(last.report().is_complete, "{:?}", last.report());
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
        let mut dry = mover(&store, START, MoveMode::DryRun);
        while dry.advance().await.expect("the stores answer") {}
        assert_eq!((dry.report().live, dry.report().ended), (u64::from(ROUNDS) - 1, 1));
        let mut mover = mover(&store, START, MoveMode::Write);
        while mover.advance().await.expect("the stores answer") {}
        let report = mover.report();
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
    let mut mover = mover(&store, START + Duration::from_secs(120), MoveMode::Write);
    while mover.advance().await.expect("the stores answer") {}

    assert_eq!((mover.report().live, mover.report().ended), (1, 1));
    let redis = Redis::new(&sides.redis).expect("the settings are right");
    let applied = apply(&redis, &session_key(1), &by_token(1, START + MINUTE), &save(set("a", "2"))).await;
    assert_eq!(applied, Applied::Denied(gone(EndReason::Revoked)));
    commit(&redis, &session_key(2), &by_token(1, START + MINUTE), &save(set("a", "2"))).await;
}

/// More than one page of a move.
const ROUNDS: u32 = 100;
