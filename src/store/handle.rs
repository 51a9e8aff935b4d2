//! The store of a service: one of the three, with the metrics of its operations.

use std::fmt;
use std::sync::Arc;

use super::metrics::{Operation, StoreMetrics};
use super::{
    Applied, Created, Cursor, Embedded, Error, Feed as _, FeedRead, FileOpenError, Index as _, IndexEntry, Memory,
    Page, Redis, Revocation, SessionKey, Settings, Snapshot, Store, StoreKind, SubjectRef, Touch, Write,
};
use crate::session::{Precondition, Record};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// One of the three stores. Clones share it.
#[derive(Clone)]
pub struct Handle {
    backend: Backend,
    metrics: Arc<StoreMetrics>,
}

#[derive(Clone)]
pub(super) enum Backend {
    Memory(Arc<Memory>),
    Embedded(Arc<Embedded>),
    Redis(Arc<Redis>),
}

impl Handle {
    /// Opens the store that the settings name.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Ok(match settings.kind {
            StoreKind::Memory => Memory::new().into(),
            StoreKind::Embedded => Embedded::open(&settings.embedded)?.into(),
            StoreKind::Redis => Redis::new(&settings.redis)?.into(),
        })
    }

    pub(super) fn new(backend: Backend) -> Self {
        Self { backend, metrics: Arc::default() }
    }

    /// The metrics of its operations, which go on counting.
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.metrics)
    }
}

/// Gives the handle the operations of the store's traits: each is counted, and goes to the store behind it.
///
/// The future of a Redis operation is large. It is boxed so that the other stores do not carry its size.
macro_rules! operations {
    ($($operation:ident => $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl Handle {
            $(
                #[doc = concat!("See `", stringify!($name), "` of the traits [`Store`](super::Store), \
                                 [`Index`](super::Index) and [`Feed`](super::Feed).")]
                pub async fn $name(&self, $($argument: $type),*) -> Result<$output, Error> {
                    self.metrics.measure(Operation::$operation, async {
                        match &self.backend {
                            Backend::Memory(store) => store.$name($($argument),*).await,
                            Backend::Embedded(store) => store.$name($($argument),*).await,
                            Backend::Redis(store) => Box::pin(store.$name($($argument),*)).await,
                        }
                    }).await
                }
            )*
        }
    };
}

operations! {
    Load => load(session_key: &SessionKey) -> Option<Snapshot>;
    Create => create(session_key: &SessionKey, record: &Record) -> Created;
    Apply => apply(session_key: &SessionKey, precondition: &Precondition, write: &Write) -> Applied;
    Touch => touch(session_key: &SessionKey, touch: &Touch) -> ();
    RevokeApp => revoke_app(app: &AppName, now: Time) -> ();
    Scan => scan(app: &AppName, from: &Cursor, limit: usize) -> Page;
    Sweep => sweep(now: Time) -> usize;
    Ping => ping() -> ();
    AddToIndex => add_to_index(subject_ref: &SubjectRef, entry: &IndexEntry) -> Vec<IndexEntry>;
    RemoveFromIndex => remove_from_index(subject_ref: &SubjectRef, entry: &IndexEntry) -> ();
    RemoveSessionFromIndex => remove_session_from_index(subject_ref: &SubjectRef, id: SessionId) -> ();
    ListIndex => list_index(subject_ref: &SubjectRef) -> Vec<IndexEntry>;
    RecordRevocation => record_revocation(subject_ref: &SubjectRef, revocation: &Revocation) -> ();
    LoadRevocation => load_revocation(subject_ref: &SubjectRef) -> Option<Revocation>;
    FeedEnd => feed_end(app: &AppName) -> Cursor;
    ReadFeed => read_feed(app: &AppName, cursor: &Cursor) -> FeedRead;
}

impl<S: Store> From<S> for Handle {
    fn from(store: S) -> Self {
        Arc::new(store).into_handle()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            Backend::Memory(store) => store.fmt(f),
            Backend::Embedded(store) => store.fmt(f),
            Backend::Redis(store) => store.fmt(f),
        }
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file of the embedded store.
    #[error("store.embedded")]
    Embedded(#[from] FileOpenError),
    /// The address of Redis.
    #[error("store.redis.url")]
    Redis(#[from] redis::RedisError),
}
