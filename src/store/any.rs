//! The three stores behind one type, so that the service is compiled once.

use super::{
    Applied, Created, Cursor, Embedded, Error, Feed, FeedRead, FileOpenError, Index, IndexEntry, Memory, Page, Redis,
    Revocation, SessionKey, Settings, Snapshot, Store, StoreKind, SubjectRef, Touch, Write,
};
use crate::session::{Precondition, Record};
use crate::token::SessionId;
use crate::types::{AppName, Time};

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
            StoreKind::Memory => Self::Memory(Memory::new()),
            StoreKind::Embedded => Self::Embedded(Embedded::open(&settings.embedded)?),
            StoreKind::Redis => Redis::new(&settings.redis)?.into(),
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
    Embedded(#[from] FileOpenError),
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
    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        on_each!(self, store => store.load(session_key))
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        on_each!(self, store => store.create(session_key, record))
    }

    async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        on_each!(self, store => store.apply(session_key, precondition, write))
    }

    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        on_each!(self, store => store.touch(session_key, touch))
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
    async fn enter(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        on_each!(self, store => store.enter(subject_ref, entry))
    }

    async fn leave(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        on_each!(self, store => store.leave(subject_ref, entry))
    }

    async fn forget(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), Error> {
        on_each!(self, store => store.forget(subject_ref, id))
    }

    async fn entries(&self, subject_ref: &SubjectRef) -> Result<Vec<IndexEntry>, Error> {
        on_each!(self, store => store.entries(subject_ref))
    }

    async fn revoke(&self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        on_each!(self, store => store.revoke(subject_ref, revocation))
    }

    async fn revocation(&self, subject_ref: &SubjectRef) -> Result<Option<Revocation>, Error> {
        on_each!(self, store => store.revocation(subject_ref))
    }
}

impl Feed for AnyStore {
    async fn latest(&self, app: &AppName) -> Result<Cursor, Error> {
        on_each!(self, store => store.latest(app))
    }

    async fn since(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        on_each!(self, store => store.since(app, cursor))
    }
}
