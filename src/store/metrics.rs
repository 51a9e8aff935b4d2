//! The metrics of a store: the durations and failures of each operation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use crate::telemetry::CallContext;
use crate::telemetry::metrics::{Histogram, HistogramSnapshot, Striped};
use crate::telemetry::spans::{OperationSpan, SpanKind};

/// The metrics of all operations since the start.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    counters: Striped<[OperationCounters; OPERATIONS.len()]>,
    location: Location,
}

/// Where the operations of a store are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Location {
    #[default]
    Process,
    Redis,
}

#[derive(Debug, Default)]
struct OperationCounters {
    durations: Histogram,
    /// In the order of [`FailureKind::ALL`].
    failures: [AtomicU64; FailureKind::ALL.len()],
}

/// How an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    Unavailable,
    Refused,
    Full,
    Corrupt,
    /// The caller stopped waiting: its request was cancelled or ran out of time.
    Abandoned,
}

/// The metrics of one operation.
#[derive(Clone, Debug)]
pub struct OperationMetrics {
    pub operation: &'static str,
    /// Of all calls, also of those that failed.
    pub durations: HistogramSnapshot,
    pub failures: [(FailureKind, u64); FailureKind::ALL.len()],
}

impl StoreMetrics {
    pub(super) fn new(location: Location) -> Self {
        Self { location, ..Self::default() }
    }

    /// Reads the metrics of every operation.
    pub fn operations(&self) -> impl Iterator<Item = OperationMetrics> {
        OPERATIONS.iter().enumerate().map(|(index, (_, operation))| OperationMetrics {
            operation,
            durations: Histogram::read(&self.counters, |counters| &counters[index].durations),
            failures: FailureKind::ALL.map(|failure| {
                let read = |counters: &[OperationCounters; OPERATIONS.len()]| {
                    counters[index].failures[failure as usize].load(Ordering::Relaxed)
                };
                (failure, self.counters.sum(read))
            }),
        })
    }

    /// Runs an operation and measures it. In a call that is sampled, the operation has a span.
    pub(super) async fn measure<T>(
        &self,
        operation: Operation,
        run: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let timer = Timer { metrics: self, operation, begin: Instant::now(), failure: Some(FailureKind::Abandoned) };
        let result = run.await;
        timer.stop(result.as_ref().err());
        result
    }
}

impl FailureKind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Unavailable, Self::Refused, Self::Full, Self::Corrupt, Self::Abandoned];

    /// The kind as the metrics' label has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "UNAVAILABLE",
            Self::Refused => "REFUSED",
            Self::Full => "FULL",
            Self::Corrupt => "CORRUPT",
            Self::Abandoned => "ABANDONED",
        }
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable,
            Error::Refused(_) => Self::Refused,
            Error::Full(_) => Self::Full,
            Error::RevokedInPart { cause, .. } | Error::NotAcknowledged { cause, .. } => Self::of(cause),
            Error::Corrupt => Self::Corrupt,
        }
    }
}

/// A running operation. If it is dropped before [`Self::stop`], it counts as abandoned.
struct Timer<'m> {
    metrics: &'m StoreMetrics,
    operation: Operation,
    begin: Instant,
    failure: Option<FailureKind>,
}

impl Timer<'_> {
    fn stop(mut self, error: Option<&Error>) {
        self.failure = error.map(FailureKind::of);
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let counters = &self.metrics.counters.local()[self.operation as usize];
        let duration = self.begin.elapsed();
        counters.durations.observe(duration);
        if let Some(failure) = self.failure {
            counters.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
        }
        CallContext::with_span(|span| span.record_operation(self.span(duration)));
    }
}

impl Timer<'_> {
    fn span(&self, duration: Duration) -> OperationSpan {
        let (_, operation) = OPERATIONS[self.operation as usize];
        let mut attributes = vec![("db.operation", operation.into())];
        let kind = match self.metrics.location {
            Location::Process => SpanKind::Internal,
            Location::Redis => {
                attributes.push(("db.system", "redis".into()));
                SpanKind::Client
            }
        };
        attributes.extend(self.failure.map(|failure| ("error.type", failure.as_str().into())));
        let (name, is_error) = (format!("store.{operation}"), self.failure.is_some());
        OperationSpan { name, kind, begin: self.begin, duration, attributes, is_error }
    }
}

/// An operation of the traits `Store`, `Index`, `Feed` and `Sample`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Load,
    Create,
    Apply,
    Touch,
    RevokeApp,
    Scan,
    Sweep,
    Ping,
    SampleKeys,
    SampleHeads,
    AddToIndex,
    RemoveFromIndex,
    RemoveSessionFromIndex,
    ListIndex,
    HasMoreEntries,
    RecordRevocation,
    LoadRevocation,
    FeedEnd,
    ReadFeed,
    /// Parts of other operations of Redis: the waits for replicas or the disk.
    AcknowledgeSave,
    AcknowledgeEnding,
}

/// All operations in the order of their discriminants, with the values of the metrics' label.
const OPERATIONS: [(Operation, &str); 21] = [
    (Operation::Load, "load"),
    (Operation::Create, "create"),
    (Operation::Apply, "apply"),
    (Operation::Touch, "touch"),
    (Operation::RevokeApp, "revoke_app"),
    (Operation::Scan, "scan"),
    (Operation::Sweep, "sweep"),
    (Operation::Ping, "ping"),
    (Operation::SampleKeys, "sample_keys"),
    (Operation::SampleHeads, "sample_heads"),
    (Operation::AddToIndex, "add_to_index"),
    (Operation::RemoveFromIndex, "remove_from_index"),
    (Operation::RemoveSessionFromIndex, "remove_session_from_index"),
    (Operation::ListIndex, "list_index"),
    (Operation::HasMoreEntries, "has_more_entries"),
    (Operation::RecordRevocation, "record_revocation"),
    (Operation::LoadRevocation, "load_revocation"),
    (Operation::FeedEnd, "feed_end"),
    (Operation::ReadFeed, "read_feed"),
    (Operation::AcknowledgeSave, "acknowledge_save"),
    (Operation::AcknowledgeEnding, "acknowledge_ending"),
];

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_operation_and_failure_has_its_own_counter() {
        for (index, (operation, _)) in OPERATIONS.iter().enumerate() {
            assert_eq!(*operation as usize, index, "{operation:?}");
        }
        for (index, failure) in FailureKind::ALL.iter().enumerate() {
            assert_eq!(*failure as usize, index, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn successes_failures_and_abandoned_operations_are_counted_apart() {
        let metrics = StoreMetrics::default();

        metrics.measure(Operation::Ping, async { Ok(()) }).await.unwrap();
        let failed = metrics.measure(Operation::Ping, async { Err::<(), _>(Error::Corrupt) }).await;
        let hangs = metrics.measure(Operation::Ping, pending::<Result<(), Error>>());
        let gave_up = tokio::time::timeout(Duration::from_millis(1), hangs).await;

        assert!(failed.is_err() && gave_up.is_err());
        let ping = metrics.operations().find(|metrics| metrics.operation == "ping").unwrap();
        assert_eq!(ping.durations.count, 3);
        let failures = ping.failures.map(|(failure, count)| (failure.as_str(), count));
        let expected = [("UNAVAILABLE", 0), ("REFUSED", 0), ("FULL", 0), ("CORRUPT", 1), ("ABANDONED", 1)];
        assert_eq!(failures, expected);
    }
}
