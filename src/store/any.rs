//! The three stores behind one type, so that the service is compiled once.

use super::{
    Applied, Created, Cursor, Embedded, EmbeddedError, Entry, Error, Feed, Index, Kept, Kind, Memory, Owner, Page,
    Place, Redis, Revocation, Settings, Since, Store, Touch, Write,
};
use crate::app::AppName;
use crate::clock::Time;
use crate::session::{Guard, Record};
use crate::token::Id;

/// One of the three stores.
#[derive(Debug)]
pub enum AnyStore {
    /// In memory.
    Memory(Memory),
    /// In a file of the service's own.
    Embedded(Embedded),
    /// In Redis.
    Redis(Box<Redis>),
}

impl AnyStore {
    /// Opens the store that the settings name.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Ok(match settings.kind {
            Kind::Memory => Self::Memory(Memory::new()),
            Kind::Embedded => Self::Embedded(Embedded::open(&settings.embedded)?),
            Kind::Redis => Redis::new(&settings.redis)?.into(),
        })
    }
}

impl From<Redis> for AnyStore {
    fn from(redis: Redis) -> Self {
        Self::Redis(Box::new(redis))
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error("store.embedded")]
    Embedded(#[from] EmbeddedError),
    /// The address of Redis.
    #[error("store.redis.url")]
    Redis(#[from] redis::RedisError),
}

/// Hands a verb on to whichever store it is. What asks Redis is large, and would be moved about by those that do not.
macro_rules! on_each {
    ($any:expr, $store:ident => $call:expr) => {
        match $any {
            Self::Memory($store) => $call.await,
            Self::Embedded($store) => $call.await,
            Self::Redis($store) => Box::pin($call).await,
        }
    };
}

impl Store for AnyStore {
    async fn load(&self, place: &Place) -> Result<Option<Kept>, Error> {
        on_each!(self, store => store.load(place))
    }

    async fn create(&self, place: &Place, record: &Record) -> Result<Created, Error> {
        on_each!(self, store => store.create(place, record))
    }

    async fn apply(&self, place: &Place, guard: &Guard, write: &Write) -> Result<Applied, Error> {
        on_each!(self, store => store.apply(place, guard, write))
    }

    async fn touch(&self, place: &Place, touch: &Touch) -> Result<(), Error> {
        on_each!(self, store => store.touch(place, touch))
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        on_each!(self, store => store.revoke_app(app, now))
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        on_each!(self, store => store.scan(app, from, limit))
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        on_each!(self, store => store.sweep(now))
    }

    async fn ping(&self) -> Result<(), Error> {
        on_each!(self, store => store.ping())
    }
}

impl Index for AnyStore {
    async fn enter(&self, owner: &Owner, entry: &Entry) -> Result<Vec<Entry>, Error> {
        on_each!(self, store => store.enter(owner, entry))
    }

    async fn leave(&self, owner: &Owner, entry: &Entry) -> Result<(), Error> {
        on_each!(self, store => store.leave(owner, entry))
    }

    async fn forget(&self, owner: &Owner, id: Id) -> Result<(), Error> {
        on_each!(self, store => store.forget(owner, id))
    }

    async fn entries(&self, owner: &Owner) -> Result<Vec<Entry>, Error> {
        on_each!(self, store => store.entries(owner))
    }

    async fn revoke(&self, owner: &Owner, revocation: &Revocation) -> Result<(), Error> {
        on_each!(self, store => store.revoke(owner, revocation))
    }

    async fn revocation(&self, owner: &Owner) -> Result<Option<Revocation>, Error> {
        on_each!(self, store => store.revocation(owner))
    }
}

impl Feed for AnyStore {
    async fn latest(&self, app: &AppName) -> Result<Cursor, Error> {
        on_each!(self, store => store.latest(app))
    }

    async fn since(&self, app: &AppName, cursor: &Cursor) -> Result<Since, Error> {
        on_each!(self, store => store.since(app, cursor))
    }
}
