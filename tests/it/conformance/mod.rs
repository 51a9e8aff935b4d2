//! The store's contract, sentence by sentence, on every store.
//!
//! A fact is an async function over a store. `facts_of_every_store!` makes a test of it for each: a store that
//! joins adds its [`Kind`] and a line there. Time stands far in the future, so that no store that expires by a
//! clock of its own takes anything away.

use std::future::Future;
use std::sync::Arc;

use cloakroom::store::{Embedded, EmbeddedSettings, Memory, Redis, Store};
use tempfile::TempDir;

use crate::support::redis;

/// A store, and how to get one that keeps nothing yet.
pub(crate) trait Kind {
    /// The store.
    type Store: Store;

    /// What has to live as long as the store does.
    type Home;

    /// An empty store.
    fn fresh() -> impl Future<Output = (Arc<Self::Store>, Self::Home)>;
}

/// Sessions in memory.
pub(crate) struct InMemory;

impl Kind for InMemory {
    type Store = Memory;
    type Home = ();

    async fn fresh() -> (Arc<Memory>, ()) {
        (Arc::new(Memory::new()), ())
    }
}

/// Sessions in a file.
pub(crate) struct InAFile;

impl Kind for InAFile {
    type Store = Embedded;
    type Home = TempDir;

    async fn fresh() -> (Arc<Embedded>, TempDir) {
        // In memory where that can be had: the facts are about answers, the crash test is about the disk.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder can be made");
        let settings = EmbeddedSettings { path: home.path().to_owned(), ..EmbeddedSettings::default() };
        (Arc::new(Embedded::open(&settings).expect("an empty folder opens")), home)
    }
}

/// Sessions in Redis.
pub(crate) struct InRedis;

impl Kind for InRedis {
    type Store = Redis;
    type Home = ();

    async fn fresh() -> (Arc<Redis>, ()) {
        (Arc::new(redis::fresh()), ())
    }
}

/// Makes a test for each store of an `async fn name(store: Arc<impl Store>)`, by `#[apply(every_store)]`.
macro_rules! every_store {
    ($($function:tt)*) => { tests_on_stores! { [memory: InMemory, embedded: InAFile, redis: InRedis] $($function)* } };
}

/// The same without Redis, which deletes expired records by itself and has nothing to sweep.
macro_rules! stores_that_sweep {
    ($($function:tt)*) => { tests_on_stores! { [memory: InMemory, embedded: InAFile] $($function)* } };
}

macro_rules! tests_on_stores {
    ([$($test:ident: $kind:ident),+] async fn $name:ident($($store:tt)*) $body:block) => {
        async fn $name($($store)*) $body

        mod $name {
            use $crate::conformance::Kind as _;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let (store, _folder) = $crate::conformance::$kind::fresh().await;
                    super::$name(store).await;
                }
            )+
        }
    };
}

mod agreeing;
mod alike;
mod authenticating;
mod changing;
mod counting;
mod creating;
mod emptying;
mod ending;
mod expiring;
mod feeding;
pub(crate) mod given;
mod importing;
mod indexing;
mod judging;
mod lifespans;
mod limiting;
mod meeting;
mod outrunning;
mod racing;
mod repeating;
mod revoking;
mod rotating;
mod scanning;
mod sweeping;
mod touching;
