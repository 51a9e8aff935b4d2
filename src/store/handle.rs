//! The handle that the service calls its store through: one of the stores, with metrics.
//!
//! It has the operations of the traits as methods of its own. The service needs no type parameter for its store then.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::select_ok;
use tracing::error;

use super::damage::log_damage;
use super::metrics::{Operation, StoreMetrics};
use super::open_error::OpenError;
use super::transfer::{AppRevocationState, ExportPage, ImportedSession, RevocationPage, SubjectRevocation};
use super::{
    Applied, Created, Cursor, Decision, Embedded, Error, ExportSource, Feed, FeedRead, FsyncWarning, ImportMode,
    ImportTarget, Index, IndexEntry, IndexPage, Memory, Moving, Page, Position, Redis, RedisMetrics, Revocation,
    Sample, SampledKeys, ServerAnswer, ServerClock, SessionKey, Settings, Snapshot, Store, StoreKind, SubjectRef,
    Touch, Write,
};
use crate::session::{Denial, EndReason, Precondition, Record};
use crate::telemetry::LogThrottle;
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// One of the stores, and the metrics of its operations. Clones share both.
#[derive(Clone, Debug)]
pub struct Handle {
    backend: Backend,
    metrics: Arc<StoreMetrics>,
}

#[derive(Clone, Debug)]
enum Backend {
    Memory(Arc<Memory>),
    Embedded(Arc<Embedded>),
    Redis(Arc<Redis>),
    Moving(Arc<Moving>),
}

impl Handle {
    /// Opens the store that the settings name.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        if let Some(moving) = Moving::open(settings)? {
            return Ok(moving.into());
        }
        Ok(match settings.kind {
            StoreKind::Memory => Memory::new().into(),
            StoreKind::Embedded => Embedded::open(&settings.embedded)?.into(),
            StoreKind::Redis => Redis::new(&settings.redis).map_err(OpenError::Redis)?.into(),
        })
    }

    fn new(backend: Backend, metrics: Arc<StoreMetrics>) -> Self {
        Self { backend, metrics }
    }

    /// The kind of the store; while sessions move, of the one in `[store]` itself.
    pub fn kind(&self) -> StoreKind {
        match &self.backend {
            Backend::Memory(_) => StoreKind::Memory,
            Backend::Embedded(_) => StoreKind::Embedded,
            Backend::Redis(_) => StoreKind::Redis,
            Backend::Moving(moving) => moving.own().kind(),
        }
    }

    /// Reads the clocks by which Redis expires sessions, as far as it tells.
    pub async fn read_clocks(&self) -> Result<Vec<ServerClock>, Error> {
        let mut clocks = Vec::new();
        for store in self.redis() {
            clocks.extend(Box::pin(store.read_clocks()).await?);
        }
        Ok(clocks)
    }

    /// Asks each Redis of the store about itself, if it is on Redis.
    pub async fn read_server_info(&self) -> Result<Vec<ServerAnswer>, Error> {
        let mut answers = Vec::new();
        for store in self.redis() {
            answers.extend(Box::pin(store.read_info()).await?);
        }
        Ok(answers)
    }

    /// Checks that as many replicas of the store are connected as have to acknowledge writes.
    pub async fn check_replicas(&self) -> Result<(), Error> {
        for store in self.redis() {
            Box::pin(store.check_replicas()).await?;
        }
        Ok(())
    }

    /// Fails if another store has the same keys of the same Redis.
    pub async fn check_is_elsewhere(&self, other: &Self) -> Result<(), Error> {
        match (&self.backend, &other.backend) {
            (Backend::Redis(store), Backend::Redis(other)) => Box::pin(store.check_is_elsewhere(other)).await,
            _ => Ok(()),
        }
    }

    /// Returns a warning of each Redis that may acknowledge a write before its disk has it, if that is waited for.
    pub async fn fsync_warnings(&self) -> Result<Vec<FsyncWarning>, Error> {
        let mut warnings = Vec::new();
        for store in self.redis() {
            warnings.extend(Box::pin(store.fsync_warnings()).await?);
        }
        Ok(warnings)
    }

    /// Checks that the store answers reads now, whether or not it takes writes. Metrics do not count it.
    ///
    /// Of a Redis Cluster one node is enough, for others read the sessions that are there.
    pub async fn check_reads(&self) -> Result<(), Error> {
        let app = AppName::parse(AppName::DEFAULT).expect("the default is a name");
        let read = |number: u8| {
            let session_key = SessionKey { app: app.clone(), id: SessionId::from_bytes([number; 16]) };
            Box::pin(async move { self.load_unmeasured(&session_key).await })
        };
        select_ok((0..READ_PROBES).map(read)).await.map(drop)
    }

    async fn load_unmeasured(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        match &self.backend {
            Backend::Memory(store) => store.load(session_key).await,
            Backend::Embedded(store) => store.load(session_key).await,
            Backend::Redis(store) => store.load(session_key).await,
            Backend::Moving(store) => store.load(session_key).await,
        }
    }

    /// Each Redis of the store; two if sessions move between them.
    fn redis(&self) -> Vec<&Arc<Redis>> {
        match &self.backend {
            Backend::Memory(_) | Backend::Embedded(_) => Vec::new(),
            Backend::Redis(store) => vec![store],
            Backend::Moving(moving) => moving.redis().collect(),
        }
    }

    /// Returns the known facts about each server of the first Redis of the store, if it is on Redis.
    pub fn redis_metrics(&self) -> Option<RedisMetrics> {
        self.redis().first().map(|store| store.redis_metrics())
    }

    /// The number of the server that has a session: sessions of other numbers do not wait for that server.
    ///
    /// Less than the number of nodes of a Redis Cluster, or `u16::MAX` if no node is known for the session. 0 for all in
    /// any other store, and while sessions move.
    pub fn node_number(&self, session_key: &SessionKey) -> u16 {
        match &self.backend {
            Backend::Memory(_) | Backend::Embedded(_) | Backend::Moving(_) => 0,
            Backend::Redis(store) => store.node_number(session_key),
        }
    }

    /// The two stores, if sessions move between them.
    pub fn moving(&self) -> Option<&Arc<Moving>> {
        match &self.backend {
            Backend::Moving(moving) => Some(moving),
            Backend::Memory(_) | Backend::Embedded(_) | Backend::Redis(_) => None,
        }
    }

    /// The metrics of the store's operations; they go on counting.
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.metrics)
    }
}

/// Gives the handle a method for each operation, which calls the store and measures the call.
///
/// The future of a Redis operation is large. It is boxed so that the other stores do not carry its size.
macro_rules! operations {
    ($($operation:ident $(of $session_key:ident $(by $end:ident)?)? =>
        $trait:ident::$name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl Handle {
            $(
                #[doc = concat!("Calls [`", stringify!($trait), "::", stringify!($name), "`].")]
                pub async fn $name(&self, $($argument: $type),*) -> Result<$output, Error> {
                    self.metrics.measure(Operation::$operation, async {
                        match &self.backend {
                            Backend::Memory(store) => $trait::$name(&**store, $($argument),*).await,
                            Backend::Embedded(store) => $trait::$name(&**store, $($argument),*).await,
                            Backend::Redis(store) => Box::pin($trait::$name(&**store, $($argument),*)).await,
                            Backend::Moving(store) => Box::pin($trait::$name(&**store, $($argument),*)).await,
                        }
                    })
                    .await
                    $(
                        .inspect_err(|error| {
                            if matches!(error, Error::Corrupt) {
                                log_damage($session_key);
                            }
                        })
                        $(.inspect(|found| log_moved($session_key, $end(found))))?
                    )?
                }
            )*
        }
    };
}

operations! {
    Load of session_key by end_of_snapshot => Store::load(session_key: &SessionKey) -> Option<Snapshot>;
    Create of session_key => Store::create(session_key: &SessionKey, record: &Record) -> Created;
    Apply of session_key by end_of_applied => Store::apply(session_key: &SessionKey, precondition: &Precondition, write: &Write) -> Applied;
    Touch of session_key => Store::touch(session_key: &SessionKey, touch: &Touch) -> ();
    RevokeApp => Store::revoke_app(app: &AppName, now: Time) -> ();
    Scan => Store::scan(app: &AppName, from: &Cursor, limit: usize) -> Page;
    Sweep => Store::sweep(now: Time) -> usize;
    Ping => Store::ping() -> ();
    SampleKeys => Sample::sample_keys(apps: &BTreeSet<AppName>, from: Position, limit: usize) -> SampledKeys;
    SampleHeads => Sample::sample_heads(session_keys: &[SessionKey]) -> Vec<Option<Snapshot>>;
    AddToIndex => Index::add_to_index(subject_ref: &SubjectRef, entry: &IndexEntry) -> Vec<IndexEntry>;
    RemoveFromIndex => Index::remove_from_index(subject_ref: &SubjectRef, entry: &IndexEntry) -> ();
    RemoveSessionFromIndex => Index::remove_session_from_index(subject_ref: &SubjectRef, id: SessionId) -> ();
    ListIndex => Index::list_index(subject_ref: &SubjectRef, from: &Cursor) -> IndexPage;
    HasMoreEntries => Index::has_more_entries(subject_ref: &SubjectRef, count: usize) -> bool;
    RecordRevocation => Index::record_revocation(subject_ref: &SubjectRef, revocation: &Revocation) -> ();
    LoadRevocation => Index::load_revocation(subject_ref: &SubjectRef) -> Option<Revocation>;
    FeedEnd => Feed::feed_end(app: &AppName) -> Cursor;
    ReadFeed => Feed::read_feed(app: &AppName, cursor: &Cursor) -> FeedRead;
    Scan => ExportSource::export_page(app: &AppName, from: &Cursor, limit: usize) -> ExportPage;
    Scan => ExportSource::load_app_revocation(app: &AppName) -> AppRevocationState;
    Scan => ExportSource::list_revocations(from: &Cursor) -> RevocationPage;
}

fn end_of_snapshot(found: &Option<Snapshot>) -> Option<EndReason> {
    Some(found.as_ref()?.record.head.end?.reason)
}

fn end_of_applied(applied: &Applied) -> Option<EndReason> {
    match applied {
        Applied::Denied(Denial::Gone(reason)) => *reason,
        _ => None,
    }
}

/// Names a session that is in another store, which these settings do not name. Its user is logged out.
fn log_moved(session_key: &SessionKey, end: Option<EndReason>) {
    static MOVED: LogThrottle = LogThrottle::new();
    if end == Some(EndReason::Moved)
        && let Some(operations) = MOVED.count()
    {
        let SessionKey { app, id } = session_key;
        error!(
            %app, session.id = %id, operations,
            "a session was moved to another store and is lost here; name that store in [store.next] or [store.previous]"
        );
    }
}

/// Gives the handle a method for each operation of an import.
macro_rules! imports {
    ($($name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl Handle {
            $(
                #[doc = concat!("Calls [`ImportTarget::", stringify!($name), "`].")]
                pub(super) async fn $name(&self, $($argument: $type),*) -> Result<$output, Error> {
                    match &self.backend {
                        Backend::Memory(_) => Err(Error::Refused(NO_IMPORT.into())),
                        Backend::Embedded(store) => ImportTarget::$name(&**store, $($argument),*).await,
                        Backend::Redis(store) => Box::pin(ImportTarget::$name(&**store, $($argument),*)).await,
                        Backend::Moving(_) => Err(Error::Refused(NO_IMPORT_WHILE_MOVING.into())),
                    }
                }
            )*
        }
    };
}

imports! {
    restore_app_revocation(app: &AppName, time: Time) -> ();
    restore_revocation(revocation: &SubjectRevocation, apps: &[AppName]) -> ();
    restore(imported: &ImportedSession, mode: ImportMode) -> Decision;
}

/// How many sessions, none of which exists, are looked for. They lie in different partitions.
const READ_PROBES: u8 = 8;

const NO_IMPORT: &str = "the memory store has no imports";
const NO_IMPORT_WHILE_MOVING: &str =
    "nothing is imported while [store.next] or [store.previous] is set; import before or after the move";

/// A store that the service can use. The conformance suite runs on each.
pub trait IntoHandle: Store {
    /// Makes the handle that the service calls this store through.
    fn into_handle(self: Arc<Self>) -> Handle;
}

impl IntoHandle for Memory {
    fn into_handle(self: Arc<Self>) -> Handle {
        Handle::new(Backend::Memory(self), Arc::default())
    }
}

impl IntoHandle for Embedded {
    fn into_handle(self: Arc<Self>) -> Handle {
        Handle::new(Backend::Embedded(self), Arc::default())
    }
}

impl IntoHandle for Redis {
    fn into_handle(self: Arc<Self>) -> Handle {
        let metrics = self.shared_metrics();
        Handle::new(Backend::Redis(self), metrics)
    }
}

impl IntoHandle for Moving {
    fn into_handle(self: Arc<Self>) -> Handle {
        let metrics = self.own().metrics().or_else(|| self.other().metrics());
        Handle::new(Backend::Moving(self), metrics.unwrap_or_default())
    }
}

impl<S: IntoHandle> From<S> for Handle {
    fn from(store: S) -> Self {
        Arc::new(store).into_handle()
    }
}
