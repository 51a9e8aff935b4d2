//! Stores: the contract of a store, and its three implementations (memory, one file, Redis).
//!
//! A store compares and writes. Each operation is one atomic step: it is done as a whole or not at all, and no other
//! operation on the same session comes in between. [`crate::session::judge()`] decides what may be written. The memory
//! and the embedded store call it inside their step. Redis cannot: its scripts write only if it is clear that the judge
//! allows the write (the fast path). Otherwise they return the head, and the judge decides here.
//!
//! Stores never decode a value, except to increment a counter, and never see a token. What is missing is `None`, not an
//! error. Ending a session twice is no error either.
//!
//! Deadlines are compared with the service's clock, which is passed in, and never with a clock of the store. A store
//! may delete a record late, but never before [`Head::purge_time`].

mod damage;
mod embedded;
mod encoding;
mod export;
mod feed;
mod handle;
mod import;
mod index;
mod legacy_reader;
mod memory;
mod metrics;
mod moving;
mod open_error;
mod record;
mod redis;
mod replace;
mod sample;
mod settings;
mod transfer;

use std::error::Error as StdError;

pub use embedded::{Embedded, FileOpenError, Settings as EmbeddedSettings, create_folder, is_open_to_all};
pub use export::{Export, ExportError, ExportPart};
pub use feed::{Feed, FeedEntry, FeedRead};
pub use handle::{Handle, IntoHandle};
pub use import::{Import, ImportError, ImportSummary};
pub use index::{
    INDEX_CLEANUP_MIN, INDEX_PAGE_ENTRIES, INDEX_SAMPLE, Index, IndexEntry, IndexPage, Revocation, SubjectRef,
};
pub use legacy_reader::{LegacyReader, LegacyRecord};
pub use memory::Memory;
pub use metrics::{FailureKind, OperationMetrics, StoreMetrics};
pub use moving::{MoveMode, MoveReport, Mover, Moving, SkipReason};
pub use open_error::OpenError;
pub use redis::{
    Acknowledge, ClusterMetrics, ClusterSettings, Eviction, FsyncWarning, Mode as RedisMode, NodeMetrics,
    PartitionCount, Persistence, Redis, RedisMetrics, SentinelSettings, ServerAnswer, ServerClock, ServerInfo,
    Settings as RedisSettings,
};
pub use sample::{Position, Sample, SampledKeys};
pub use settings::{Settings, SideSettings, StoreKind};
pub use transfer::{Decision, ExportSource, FileError, ImportApp, ImportMode, ImportTarget, Reader};

use crate::session::{
    Denial, Done, Edit, EditError, EndReason, Generation, Head, ImportedFrom, Precondition, Record, RequestContext,
};
use crate::token::{SessionId, VerifierHash};
use crate::types::{AppName, Time};

/// The operations of a store on sessions.
///
/// All three implementations keep the same contract; the conformance suite and the model test check it:
///
/// - **Atomic.** Each operation is one step. Calls at the same time, from any number of replicas, have the effect of
///   the same calls one after the other. Every later read sees a write that was answered.
/// - **No guesses.** A store that does not answer is an [`Error::Unavailable`], never a missing session. The outcome of
///   a write is unknown then, as it is if the caller drops the future; the store does not repeat it.
/// - **Ended stays ended.** A tombstone takes the place of an ended session until [`Head::purge_time`], and nothing
///   overwrites it. A store that has no room for other writes still accepts an end, the first time: it keeps a reserve
///   for [`Write::End`], [`Self::revoke_app`], revocations of subjects, and what removes from the index.
/// - **Events.** Each [`EventKind`](crate::session::EventKind) is written to the app's [`Feed`] in the same step as
///   the change.
/// - **Bounded.** No operation takes time in proportion to the number of an app's sessions. A call of [`Self::scan`]
///   reads about a page (the memory store a 64th of all), one of [`Self::sweep`] what is due. A store behind a network
///   gives each operation a deadline.
///
/// The caller bounds what it stores: names and subjects have at most 256 bytes, and a new record is within the app's
/// limits. For later writes the store checks the limits inside its step, because saves at the same time add up.
pub trait Store: Index + Feed + Sample + Send + Sync + 'static {
    /// Reads the record of a session, alive or ended, and the app's generation.
    ///
    /// `None` if there never was one or it has been deleted. The generation is of the same moment as the record or
    /// later, never earlier. The caller judges whether the session is alive: a store returns expired records as long as
    /// it has them.
    fn load(&self, session_key: &SessionKey) -> impl Future<Output = Result<Option<Snapshot>, Error>> + Send;

    /// Stores a new record, unless there is a record of this key already, a tombstone included.
    ///
    /// Ignores the record's generation and sets it to the app's in the same step. Does not store an imported record
    /// ([`Head::imported_from`]) if the app's sessions have ever been revoked, unless its credential was issued after
    /// the last revocation: both times have to be known for that.
    fn create(&self, session_key: &SessionKey, record: &Record) -> impl Future<Output = Result<Created, Error>> + Send;

    /// Writes to a session if the judge allows it and the limits of the edit hold; otherwise writes nothing.
    fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> impl Future<Output = Result<Applied, Error>> + Send;

    /// Moves the access time forward, if the verifier hash is that of the current token.
    ///
    /// Does nothing if there is no such session, if it has ended or expired at [`Touch::used`], or if its access time
    /// is not earlier. Leaves the version alone.
    fn touch(&self, session_key: &SessionKey, touch: &Touch) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends every session of an app that has been created so far, by raising the app's generation.
    ///
    /// Costs the same however many sessions there are. A store that divides an app into parts may raise one part
    /// after the other; after the answer all are raised. If it fails, some may be: the caller repeats it.
    fn revoke_app(&self, app: &AppName, now: Time) -> impl Future<Output = Result<(), Error>> + Send;

    /// Reads one page of an app's sessions, alive or ended, in no particular order.
    ///
    /// A session that exists during the whole scan is found. One that is created or deleted during the scan may be
    /// missing, and in Redis one may be found twice if Redis resizes its table, moves a slot or is replaced by another
    /// process meanwhile. `limit` is at least 1; Redis treats it as a hint. A page may be empty without being the last. A
    /// session whose bytes are damaged is left out, and the log names it.
    fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Deletes some of the records whose [`Head::purge_time`] has come, and index entries that have expired.
    ///
    /// Returns the number of deleted records. The caller repeats the call until it is 0. A store that expires
    /// records by itself does nothing here.
    fn sweep(&self, now: Time) -> impl Future<Output = Result<usize, Error>> + Send;

    /// Checks that the store takes writes and answers reads now. Called four times a second, so it has to be cheap.
    fn ping(&self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Identifies a session in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub app: AppName,
    pub id: SessionId,
}

/// A record, with what else is needed to judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub record: Record,
    /// The app's generation when the record was read, or later.
    pub generation: Generation,
}

/// The answer of [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    Stored,
    /// There is a record already, maybe a tombstone.
    Occupied,
    /// The app's sessions were revoked after the credential of this imported session was issued.
    Revoked,
}

/// A change of a session.
#[derive(Clone, Debug)]
pub enum Write {
    /// A save or a rotation.
    Edit(Box<Edit>),
    End(EndReason),
}

impl Write {
    /// Whether this write, which left this head, has put its own token in place of the one before.
    pub fn has_replaced_token(&self, head: &Head) -> bool {
        let replacement = match self {
            Self::Edit(edit) => edit.rotation.replacement(),
            Self::End(_) => None,
        };
        replacement.is_some_and(|replacement| replacement.verifier_hash == head.verifier_hash)
    }
}

/// The answer of [`Store::apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Done(Box<Done>),
    /// The judge does not allow the write.
    Denied(Denial),
    /// The judge allows the write, but the edit cannot be made.
    Refused(EditError),
    /// There is no record.
    Missing,
}

/// A use of a session that changes nothing but its access time.
#[derive(Clone, Debug)]
pub struct Touch {
    /// The verifier hash of the token that the session was used with.
    pub verifier_hash: VerifierHash,
    /// The new access time.
    pub used: Time,
    /// The new context; `None` leaves the old one.
    pub context: Option<RequestContext>,
}

/// One page of a scan.
#[derive(Clone, Debug)]
pub struct Page {
    pub sessions: Vec<(SessionId, Snapshot)>,
    /// The begin of the next page; `None` at the end of the scan.
    pub next: Option<Cursor>,
}

/// A position in a scan or in a feed. Only the store that made it can read it; the empty one is the begin of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

/// Why a store did not do an operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not answer. Whether a write was done is unknown.
    #[error("the store does not answer")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// The store answers, but not with what it was asked: rights are missing, it is a replica, it is misconfigured.
    ///
    /// It goes on until the operator or a failover ends it.
    #[error("the store refuses to work")]
    Refused(#[source] Box<dyn StdError + Send + Sync>),
    /// The store has no room. Nothing was written.
    #[error("the store is full")]
    Full(#[source] Box<dyn StdError + Send + Sync>),
    /// Of the partitions of an app, some were revoked, and it is unknown whether the others were.
    #[error("at least {done} of {all} partitions of the app are revoked, repeat the call to revoke the others")]
    RevokedInPart {
        done: usize,
        all: usize,
        #[source]
        cause: Box<Self>,
    },
    /// The write is done, but it is not known to be as safe as the settings ask for. The caller repeats it.
    #[error("the write is done, but not acknowledged")]
    NotAcknowledged {
        /// The answer of the store to a write of one session.
        applied: Option<Box<Applied>>,
        #[source]
        cause: Box<Self>,
    },
    /// The bytes in the store are not a session. They are left as they are.
    #[error("the stored bytes are not a session")]
    Corrupt,
}

impl Error {
    /// Whether the error says nothing of other sessions: one is damaged, or its write is done and not acknowledged.
    pub const fn is_of_one_session(&self) -> bool {
        matches!(self, Self::Corrupt | Self::NotAcknowledged { .. })
    }

    /// Makes an error from the reason why the store did not answer.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

/// How often all sessions of an app have been revoked in this store, and when for the last time.
///
/// An import of an [`Export`] brings the time of the other store along, and leaves the generation alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AppRevocation {
    generation: Generation,
    /// `None` if there was no revocation, or if an earlier version of the service did it, which did not store the time.
    time: Option<Time>,
}

impl AppRevocation {
    /// The state after one more revocation.
    fn next(self, now: Time) -> Self {
        Self { generation: Generation(self.generation.0.saturating_add(1)), time: self.time.max(Some(now)) }
    }

    /// Whether the revocation ends a session that is imported now. See [`Store::create`].
    fn covers(&self, imported_from: &ImportedFrom) -> bool {
        let is_later = |(issued, time): (Time, Time)| issued > time;
        self.has_happened() && !imported_from.issued.zip(self.time).is_some_and(is_later)
    }

    /// Whether there was one, here or in the store that sessions were imported from.
    fn has_happened(&self) -> bool {
        self.generation > Generation::default() || self.time.is_some()
    }
}

/// Computes what a write makes of a record, for stores that can call the judge inside their step.
fn apply_write(snapshot: &Snapshot, precondition: &Precondition, write: &Write) -> Result<(Record, Done), Applied> {
    use crate::session::{edit, end, judge};

    judge(&snapshot.record.head, snapshot.generation, precondition).map_err(Applied::Denied)?;
    match write {
        Write::End(reason) => Ok(end(&snapshot.record, *reason, precondition)),
        Write::Edit(requested) => edit(&snapshot.record, requested, precondition).map_err(Applied::Refused),
    }
}

/// Computes what a touch makes of a record; `None` if it changes nothing. See [`Store::touch`].
fn apply_touch(record: &Record, touch: &Touch) -> Option<Record> {
    let head = &record.head;
    let is_over = head.end.is_some() || touch.used >= head.expire_time(head.access_time);
    if is_over || head.verifier_hash != touch.verifier_hash || touch.used <= head.access_time {
        return None;
    }
    let mut record = record.clone();
    record.head.access_time = touch.used;
    if let Some(context) = &touch.context {
        record.head.context = context.clone();
    }
    Some(record)
}
