//! A store that is watched at work: how long each verb takes, and how it fails.
//!
//! Changes nothing of what goes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::{
    Applied, Created, Cursor, Error, Feed, FeedRead, Index, IndexEntry, Page, Revocation, SessionKey, Snapshot, Store,
    SubjectRef, Touch, Write,
};
use crate::session::{Precondition, Record};
use crate::telemetry::metrics::{Histogram, HistogramSnapshot, Striped};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// Hands every verb on to the store underneath.
#[derive(Debug)]
pub struct Instrumented<S> {
    store: Arc<S>,
    work: Arc<StoreMetrics>,
}

/// What a store has done since the start, verb by verb.
#[derive(Debug)]
pub struct StoreMetrics(Striped<[OperationCounters; OPERATIONS.len()]>);

#[derive(Debug, Default)]
struct OperationCounters {
    times: Histogram,
    /// By the place of the failure in [`FailureKind::ALL`].
    failures: [AtomicU64; FailureKind::ALL.len()],
}

/// How a verb fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The store did not answer.
    Unavailable,
    /// It has no room.
    Full,
    /// What it keeps is no session.
    Corrupt,
    /// The caller waited no longer.
    Abandoned,
}

/// What was seen of one verb.
#[derive(Clone, Debug)]
pub struct OperationMetrics {
    /// Its name.
    pub verb: &'static str,
    /// How long it took, however it ended.
    pub times: HistogramSnapshot,
    /// How often it failed, by every way to fail.
    pub failures: [(FailureKind, u64); FailureKind::ALL.len()],
}

impl<S> Instrumented<S> {
    /// Watches a store.
    pub fn new(store: Arc<S>) -> Self {
        Self { store, work: Arc::new(StoreMetrics(Striped::default())) }
    }

    /// What it has done; goes on counting.
    pub fn work(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.work)
    }

    /// The answer, counted.
    async fn watch<T>(&self, verb: Operation, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let watch =
            OperationTimer { work: &self.work, verb, begin: Instant::now(), failure: Some(FailureKind::Abandoned) };
        let answer = answer.await;
        watch.end(answer.as_ref().err());
        answer
    }
}

impl StoreMetrics {
    /// What was seen of every verb.
    pub fn seen(&self) -> impl Iterator<Item = OperationMetrics> {
        OPERATIONS.iter().enumerate().map(|(number, (_, verb))| OperationMetrics {
            verb,
            times: Histogram::read(&self.0, |tallies| &tallies[number].times),
            failures: FailureKind::ALL.map(|failure| {
                let read = |tallies: &[OperationCounters; OPERATIONS.len()]| {
                    tallies[number].failures[failure as usize].load(Ordering::Relaxed)
                };
                (failure, self.0.sum(read))
            }),
        })
    }
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unavailable, Self::Full, Self::Corrupt, Self::Abandoned];

    /// The failure in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "UNAVAILABLE",
            Self::Full => "FULL",
            Self::Corrupt => "CORRUPT",
            Self::Abandoned => "ABANDONED",
        }
    }

    const fn of(error: &Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable,
            Error::Full(_) => Self::Full,
            Error::Corrupt => Self::Corrupt,
        }
    }
}

/// A verb that runs; one that is dropped before its end was abandoned.
struct OperationTimer<'w> {
    work: &'w StoreMetrics,
    verb: Operation,
    begin: Instant,
    failure: Option<FailureKind>,
}

impl OperationTimer<'_> {
    fn end(mut self, error: Option<&Error>) {
        self.failure = error.map(FailureKind::of);
    }
}

impl Drop for OperationTimer<'_> {
    fn drop(&mut self) {
        let tally = &self.work.0.local()[self.verb as usize];
        tally.times.observe(self.begin.elapsed());
        if let Some(failure) = self.failure {
            tally.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What can be asked of a store.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Load,
    Create,
    Apply,
    Touch,
    RevokeApp,
    Scan,
    Sweep,
    Ping,
    Enter,
    StreamPermit,
    Forget,
    Entries,
    Revoke,
    Revocation,
    Latest,
    FeedRead,
}

/// All of them in their order, and their names.
const OPERATIONS: [(Operation, &str); 16] = [
    (Operation::Load, "load"),
    (Operation::Create, "create"),
    (Operation::Apply, "apply"),
    (Operation::Touch, "touch"),
    (Operation::RevokeApp, "revoke_app"),
    (Operation::Scan, "scan"),
    (Operation::Sweep, "sweep"),
    (Operation::Ping, "ping"),
    (Operation::Enter, "add_to_index"),
    (Operation::StreamPermit, "remove_from_index"),
    (Operation::Forget, "remove_session_from_index"),
    (Operation::Entries, "list_index"),
    (Operation::Revoke, "record_revocation"),
    (Operation::Revocation, "load_revocation"),
    (Operation::Latest, "feed_end"),
    (Operation::FeedRead, "read_feed"),
];

impl<S: Store> Store for Instrumented<S> {
    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        self.watch(Operation::Load, self.store.load(session_key)).await
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        self.watch(Operation::Create, self.store.create(session_key, record)).await
    }

    async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        self.watch(Operation::Apply, self.store.apply(session_key, precondition, write)).await
    }

    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        self.watch(Operation::Touch, self.store.touch(session_key, touch)).await
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        self.watch(Operation::RevokeApp, self.store.revoke_app(app, now)).await
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        self.watch(Operation::Scan, self.store.scan(app, from, limit)).await
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        self.watch(Operation::Sweep, self.store.sweep(now)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.watch(Operation::Ping, self.store.ping()).await
    }
}

impl<S: Store> Index for Instrumented<S> {
    async fn enter(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        self.watch(Operation::Enter, self.store.enter(subject_ref, entry)).await
    }

    async fn leave(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        self.watch(Operation::StreamPermit, self.store.leave(subject_ref, entry)).await
    }

    async fn forget(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), Error> {
        self.watch(Operation::Forget, self.store.forget(subject_ref, id)).await
    }

    async fn entries(&self, subject_ref: &SubjectRef) -> Result<Vec<IndexEntry>, Error> {
        self.watch(Operation::Entries, self.store.entries(subject_ref)).await
    }

    async fn revoke(&self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        self.watch(Operation::Revoke, self.store.revoke(subject_ref, revocation)).await
    }

    async fn revocation(&self, subject_ref: &SubjectRef) -> Result<Option<Revocation>, Error> {
        self.watch(Operation::Revocation, self.store.revocation(subject_ref)).await
    }
}

impl<S: Store> Feed for Instrumented<S> {
    async fn latest(&self, app: &AppName) -> Result<Cursor, Error> {
        self.watch(Operation::Latest, self.store.latest(app)).await
    }

    async fn since(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        self.watch(Operation::FeedRead, self.store.since(app, cursor)).await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use crate::store::Memory;

    #[test]
    fn every_verb_stands_where_its_tally_is() {
        for (number, (verb, _)) in OPERATIONS.iter().enumerate() {
            assert_eq!(*verb as usize, number, "{verb:?}");
        }
        for (number, failure) in FailureKind::ALL.iter().enumerate() {
            assert_eq!(*failure as usize, number, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn answers_failures_and_what_nobody_waits_for_are_told_apart() {
        let store = Instrumented::new(Arc::new(Memory::new()));

        store.ping().await.unwrap();
        let failed = store.watch(Operation::Ping, async { Err::<(), _>(Error::Corrupt) }).await;
        let hangs = store.watch(Operation::Ping, pending::<Result<(), Error>>());
        let gave_up = tokio::time::timeout(Duration::from_millis(1), hangs).await;

        assert!(failed.is_err() && gave_up.is_err());
        let seen = store.work().seen().find(|seen| seen.verb == "ping").unwrap();
        assert_eq!(seen.times.count, 3);
        let failures = seen.failures.map(|(failure, count)| (failure.as_str(), count));
        assert_eq!(failures, [("UNAVAILABLE", 0), ("FULL", 0), ("CORRUPT", 1), ("ABANDONED", 1)]);
    }
}
