//! The contract of stores: each test here runs on every store.
//!
//! A test is an async function that takes a store, and `#[apply(every_store)]` runs it on each. A new store needs a
//! function here that opens it, and its name in `every_store!`. All times are in the far future, so that no store which
//! expires records by a clock of its own removes any.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{
    Embedded, EmbeddedSettings, ImportApp, Memory, MoveMode, Mover, Moving, PartitionCount, Redis, RedisSettings,
    Settings, SideSettings, StoreKind,
};
use cloakroom::types::{ManualClock, random};
use tempfile::TempDir;
use tokio::task::{JoinHandle, yield_now};

use crate::support::cluster::KeySpace;

/// An empty store, and the place of its data, which is removed when it is dropped.
pub(crate) type Fresh<S> = (Arc<S>, Box<dyn Any>);

pub(crate) fn memory() -> Fresh<Memory> {
    (Arc::new(Memory::new()), Box::new(()))
}

pub(crate) fn embedded_settings() -> (EmbeddedSettings, TempDir) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder can be made");
    (EmbeddedSettings { path: folder.path().to_owned(), ..EmbeddedSettings::default() }, folder)
}

/// Opens an embedded store on `/dev/shm` if there is one: only the crash test is about the disk.
pub(crate) fn embedded() -> Fresh<Embedded> {
    let (settings, folder) = embedded_settings();
    (Arc::new(Embedded::open(&settings).expect("an empty folder opens")), Box::new(folder))
}

pub(crate) fn redis() -> Fresh<Redis> {
    (Arc::new(crate::support::redis::fresh()), Box::new(()))
}

/// Opens a store on a single Redis, with as many partitions as in a cluster.
pub(crate) fn redis_with_1024_partitions() -> Fresh<Redis> {
    let settings = RedisSettings { partitions: Some(PartitionCount::P1024), ..crate::support::redis::settings() };
    (Arc::new(Redis::new(&settings).expect("the settings are right")), Box::new(()))
}

pub(crate) fn redis_cluster() -> Fresh<Redis> {
    let keys = KeySpace::new();
    (Arc::new(Redis::new(&keys.settings()).expect("the settings are right")), Box::new(keys))
}

/// Opens two stores that create sessions in Redis, and have moved none.
pub(crate) fn moving() -> Fresh<Moving> {
    let (embedded, folder) = embedded_settings();
    let previous = Some(SideSettings { kind: StoreKind::Embedded, embedded, ..SideSettings::default() });
    let redis = crate::support::redis::settings();
    let settings = Settings { kind: StoreKind::Redis, redis, previous, ..Settings::default() };
    (open_moving(&settings), Box::new(folder))
}

/// Opens two stores that create sessions in the file, and move them to Redis all the time.
pub(crate) fn moving_to_redis() -> Fresh<Moving> {
    let (embedded, folder) = embedded_settings();
    let redis = crate::support::redis::settings();
    let next = Some(SideSettings { kind: StoreKind::Redis, redis, ..SideSettings::default() });
    let store = open_moving(&Settings { kind: StoreKind::Embedded, embedded, next, ..Settings::default() });
    let moves = MoveAllTheTime::start(&store);
    (store, Box::new((moves, folder)))
}

/// Opens two stores that create sessions in Redis, and move them to the file all the time.
pub(crate) fn moving_from_redis() -> Fresh<Moving> {
    let (embedded, folder) = embedded_settings();
    let next = Some(SideSettings { kind: StoreKind::Embedded, embedded, ..SideSettings::default() });
    let redis = crate::support::redis::settings();
    let store = open_moving(&Settings { kind: StoreKind::Redis, redis, next, ..Settings::default() });
    let moves = MoveAllTheTime::start(&store);
    (store, Box::new((moves, folder)))
}

pub(crate) fn open_moving(settings: &Settings) -> Arc<Moving> {
    Arc::new(Moving::open(settings).expect("the settings are right").expect("there are two stores"))
}

/// Moves sessions in the background until it is dropped.
struct MoveAllTheTime(JoinHandle<()>);

impl MoveAllTheTime {
    fn start(store: &Arc<Moving>) -> Self {
        let store = Arc::clone(store);
        let names = ["default", "shop", "shop2", "shop-a", "sho", "other", "blog"];
        let app = ImportApp { absolute_timeout: Duration::from_secs(31 * 24 * 60 * 60) };
        let apps: BTreeMap<_, _> = names.map(|name| (fixtures::app(name), app)).into();
        Self(tokio::spawn(async move {
            loop {
                let clock = Arc::new(ManualClock::new(fixtures::START));
                let mut mover = Mover::new(Arc::clone(&store), clock, apps.clone(), MoveMode::Write);
                // Half of the moves stop somewhere, as if the process had ended there.
                let end = async {
                    let byte = random::bytes::<1>()[0];
                    for _ in 0..byte {
                        yield_now().await;
                    }
                    if byte.is_multiple_of(2) {
                        pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = async { while !mover.report().is_complete && mover.advance().await.expect("the stores answer") {} } => {}
                    () = end => {}
                }
            }
        }))
    }
}

impl Drop for MoveAllTheTime {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes a test for each store of an `async fn name(store: Arc<impl Store>)`, by `#[apply(every_store)]`.
macro_rules! every_store {
    ($($function:tt)*) => { tests_on_stores! { [memory, embedded, redis, redis_with_1024_partitions, redis_cluster, moving_to_redis] $($function)* } };
}

/// The same with two stores in each direction and phase of a move, for what a move could break: creates and ends.
macro_rules! every_store_and_move {
    ($($function:tt)*) => { tests_on_stores! { [memory, embedded, redis, redis_with_1024_partitions, redis_cluster, moving, moving_to_redis, moving_from_redis] $($function)* } };
}

/// The same without those in which sessions move meanwhile: a scan or a sample may have one of those twice, and a move may
/// raise the generation of an app once more, add a session to the index, and divide its events between two feeds.
macro_rules! stores_without_moves {
    ($($function:tt)*) => { tests_on_stores! { [memory, embedded, redis, redis_with_1024_partitions, redis_cluster, moving] $($function)* } };
}

/// The same without those that have 1,024 partitions: each first revocation of an app makes keys in every partition, which
/// takes Redis about 5 MB, so that many rounds with an app each take minutes and gigabytes.
macro_rules! stores_of_few_partitions {
    ($($function:tt)*) => { tests_on_stores! { [memory, embedded, redis, moving, moving_to_redis, moving_from_redis] $($function)* } };
}

/// Those that have 1,024 partitions, for rounds on one app.
macro_rules! stores_of_many_partitions {
    ($($function:tt)*) => { tests_on_stores! { [redis_with_1024_partitions, redis_cluster] $($function)* } };
}

/// The same without Redis, which deletes expired records by itself and has nothing to sweep, and may list a session twice.
macro_rules! stores_without_redis {
    ($($function:tt)*) => { tests_on_stores! { [memory, embedded] $($function)* } };
}

macro_rules! tests_on_stores {
    ([$($kind:ident),+] async fn $name:ident($($store:tt)*) $body:block) => {
        async fn $name($($store)*) $body

        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $kind() {
                    let (store, _place) = $crate::conformance::$kind();
                    super::$name(store).await;
                }
            )+
        }
    };
}

mod app_revocation;
mod changes;
mod concurrency;
mod counters;
mod creation;
mod empty_sessions;
mod equivalence;
mod expiry;
mod feed;
pub(crate) mod fixtures;
pub(crate) mod full;
mod idempotency;
mod import;
mod index;
mod lifetime_limits;
mod limits;
mod preconditions;
mod races;
mod random_saves;
mod reauthentication;
mod revocation_races;
mod rotation;
mod samples;
mod scan;
mod session_end;
mod stopped_moves;
mod sweep;
mod touch;
