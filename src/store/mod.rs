//! The store: where sessions lie, and what every keeping of them promises.
//!
//! A store compares and writes, each verb in one atomic step of its own. What may be written is judged by
//! [`crate::session::judge()`]; a store that cannot ask it inside its step (Redis) decides only whether this
//! is a plain go, and otherwise brings the head here. Stores never decode a value, counters aside, and
//! never see a token. What is missing is `None`, not an error. Ending twice is fine.
//!
//! A deadline is judged on the service's clock, never on the store's own: a store forgets a session
//! late, not before [`Head::purge_time`].

mod embedded;
mod encoding;
mod feed;
mod flask_session;
mod handle;
mod index;
mod memory;
mod metrics;
mod redis;
mod settings;

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;

pub use embedded::{Embedded, FileOpenError, Settings as EmbeddedSettings};
pub use feed::{Feed, FeedEntry, FeedRead};
pub use flask_session::{FlaskRecord, FlaskSessions, MAX_RECORD_BYTES};
pub use handle::{Handle, OpenError};
pub use index::{INDEX_CLEANUP_MIN, INDEX_SAMPLE, Index, IndexEntry, Revocation, SubjectRef};
pub use memory::Memory;
pub use metrics::{FailureKind, OperationMetrics, StoreMetrics};
pub use redis::{Redis, Settings as RedisSettings};
pub use settings::{Settings, StoreKind};

use crate::session::{
    Context, Counters, Denial, Edit, EditError, EndReason, Generation, Head, ImportedFrom, Precondition, Record,
    Subject, WriteEffect,
};
use crate::token::{SessionId, VerifierHash};
use crate::types::{AppName, Time};

/// What can be asked of a place where sessions lie.
pub trait Store: Index + Feed + Send + Sync + 'static {
    /// The store of a service, which shares this one.
    fn into_handle(self: Arc<Self>) -> Handle;

    /// One snapshot of what is kept at a place, alive or ended, with the app's generation.
    fn load(&self, session_key: &SessionKey) -> impl Future<Output = Result<Option<Snapshot>, Error>> + Send;

    /// Keeps a new record unless something is kept there already, a tombstone included.
    ///
    /// The record's generation is set to the app's in the same step. An imported one that began before the app's
    /// sessions were last revoked, or of which nobody knows when it began, is not kept if they ever were.
    fn create(&self, session_key: &SessionKey, record: &Record) -> impl Future<Output = Result<Created, Error>> + Send;

    /// Writes, if the judge lets the call go and the limits hold.
    fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> impl Future<Output = Result<Applied, Error>> + Send;

    /// Moves the time of last use on, if the proof is the current one.
    ///
    /// Never creates, never revives, never goes back, and leaves the version alone.
    fn touch(&self, session_key: &SessionKey, touch: &Touch) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends every session of an app that was created before, however many there are.
    fn revoke_app(&self, app: &AppName, now: Time) -> impl Future<Output = Result<(), Error>> + Send;

    /// A page of what is kept for an app, alive or ended, each record once, in no order.
    ///
    /// What is created or forgotten meanwhile may be missing.
    fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Forgets some of what may be forgotten at `now`; answers how many records went: none, if none is left.
    ///
    /// A store that expires records by itself has nothing to do here.
    fn sweep(&self, now: Time) -> impl Future<Output = Result<usize, Error>> + Send;

    /// Whether the store answers.
    fn ping(&self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Where a session lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The app.
    pub app: AppName,
    /// The session.
    pub id: SessionId,
}

/// What a store keeps at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The record.
    pub record: Record,
    /// The app's generation at that moment.
    pub generation: Generation,
}

/// The answer to [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is kept.
    Stored,
    /// Something was there before.
    Occupied,
    /// The app's sessions were revoked after this one began elsewhere.
    Revoked,
}

/// What to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// A save or a rotation.
    Edit(Box<Edit>),
    /// The end of the session.
    End(EndReason),
}

/// The answer to [`Store::apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is written.
    Done(Box<Done>),
    /// The judge does not allow the write.
    Denied(Denial),
    /// The session can't be made to be so.
    Refused(EditError),
    /// Nothing is kept there.
    Missing,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What is told of the head from now on: [`Head::told()`].
    pub head: Head,
    /// What became of the session.
    pub effect: WriteEffect,
    /// The counters that the call moved.
    pub counters: Counters,
    /// Whose it was before.
    pub subject_before: Option<Subject>,
}

/// A use of a session that changed nothing.
#[derive(Clone, Debug)]
pub struct Touch {
    /// Of the token that it was used with.
    pub verifier_hash: VerifierHash,
    /// When.
    pub used: Time,
    /// Where from, if the frontend told it.
    pub context: Option<Context>,
}

/// A part of a scan.
#[derive(Clone, Debug)]
pub struct Page {
    /// What was met, with the app's generation at that moment.
    pub sessions: Vec<(SessionId, Snapshot)>,
    /// Where to go on; nothing at the end.
    pub next: Option<Cursor>,
}

/// A place in a scan or a feed. Only the store that gave it can read it; the empty one is the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

/// Why a store does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not answer. Whether a write was done is unknown.
    #[error("the store does not answer")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// It has no room. Nothing was written.
    #[error("the store is full")]
    Full(#[source] Box<dyn StdError + Send + Sync>),
    /// What it keeps there is no session.
    #[error("the store keeps something there that is no session")]
    Corrupt,
}

impl Error {
    /// The store did not answer, for this reason.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

/// How often all sessions of an app were revoked, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AppRevocation {
    generation: Generation,
    /// None although there was one: it was not written down then.
    time: Option<Time>,
}

impl AppRevocation {
    /// After one more.
    fn again(self, now: Time) -> Self {
        Self { generation: Generation(self.generation.0.saturating_add(1)), time: self.time.max(Some(now)) }
    }

    /// Whether that ended, before it came here, what came from there.
    fn covers(&self, imported_from: &ImportedFrom) -> bool {
        let is_later = |(issued, time): (Time, Time)| issued > time;
        self.generation > Generation::default() && !imported_from.issued.zip(self.time).is_some_and(is_later)
    }
}

/// What a write makes of a record, in a store that can ask the judge inside its own step.
fn written(snapshot: &Snapshot, precondition: &Precondition, write: &Write) -> Result<(Record, Done), Applied> {
    use crate::session::{edit, end, judge};

    judge(&snapshot.record.head, snapshot.generation, precondition).map_err(Applied::Denied)?;
    let (record, effect, counters) = match write {
        Write::End(reason) => (end(&snapshot.record, *reason, precondition), WriteEffect::Deleted, Counters::new()),
        Write::Edit(asked) => {
            let edited = edit(&snapshot.record, asked, precondition).map_err(Applied::Refused)?;
            (edited.record, edited.effect, edited.counters)
        }
    };
    let subject_before = snapshot.record.head.subject.clone();
    let done = Done { head: record.head.public_view(), effect, counters, subject_before };
    Ok((record, done))
}

/// What a touch makes of a record, if it makes anything of it.
fn touched(record: &Record, touch: &Touch) -> Option<Record> {
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
