//! The bounded queue of spans, from the calls to the export. A full queue drops spans, and no call ever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::Span;

/// Takes spans, and never blocks.
#[derive(Clone, Debug)]
pub(super) struct SpanQueue {
    spans: Sender<Span>,
    counts: Arc<SpanCounts>,
}

/// The spans that wait for their export.
#[derive(Debug)]
pub struct QueuedSpans(Receiver<Span>);

/// The numbers of exported and lost spans since the start.
#[derive(Debug, Default)]
pub struct SpanCounts {
    exported: AtomicU64,
    /// By the discriminants of [`SpanLoss`].
    lost: [AtomicU64; SpanLoss::ALL.len()],
}

/// Why a span did not reach the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanLoss {
    /// Calls ended faster than spans were exported.
    QueueFull,
    /// The collector did not take it: it was silent, refused the request or could not be reached.
    ExportFailed,
    /// The collector took the request, but not this span.
    Rejected,
    /// The service stopped before it was exported.
    Stopped,
}

/// Opens a queue.
pub(super) fn open() -> (SpanQueue, QueuedSpans) {
    let (spans, queued) = mpsc::channel(CAPACITY);
    (SpanQueue { spans, counts: Arc::default() }, QueuedSpans(queued))
}

impl SpanQueue {
    pub(super) fn push(&self, span: Span) {
        match self.spans.try_send(span) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.counts.count_lost(SpanLoss::QueueFull, 1),
            Err(mpsc::error::TrySendError::Closed(_)) => self.counts.count_lost(SpanLoss::Stopped, 1),
        }
    }

    pub(super) const fn counts(&self) -> &Arc<SpanCounts> {
        &self.counts
    }
}

impl QueuedSpans {
    /// Waits for spans, adds at most `limit` to `batch`, and returns their number. 0: no more can come.
    ///
    /// Loses none if the future is dropped.
    pub async fn receive(&mut self, batch: &mut Vec<Span>, limit: usize) -> usize {
        self.0.recv_many(batch, limit).await
    }

    /// Adds at most `limit` of the spans that are there to `batch`, without waiting.
    pub fn take(&mut self, batch: &mut Vec<Span>, limit: usize) {
        batch.extend(std::iter::from_fn(|| self.0.try_recv().ok()).take(limit));
    }

    /// Ends the queue, and returns how many spans were still in it.
    pub fn close(&mut self) -> usize {
        self.0.close();
        std::iter::from_fn(|| self.0.try_recv().ok()).count()
    }
}

impl SpanCounts {
    /// Counts spans that the collector has.
    pub fn count_exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Counts spans that it will never have.
    pub fn count_lost(&self, loss: SpanLoss, spans: usize) {
        self.lost[loss as usize].fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Returns how many spans the collector has.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Returns how many spans were lost for this reason.
    pub fn lost(&self, loss: SpanLoss) -> u64 {
        self.lost[loss as usize].load(Ordering::Relaxed)
    }
}

impl SpanLoss {
    /// All values, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::ExportFailed, Self::Rejected, Self::Stopped];

    /// The value of the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "QUEUE_FULL",
            Self::ExportFailed => "EXPORT_FAILED",
            Self::Rejected => "REJECTED",
            Self::Stopped => "STOPPED",
        }
    }
}

/// About two megabytes.
const CAPACITY: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_at_the_index_of_its_value() {
        for (index, loss) in SpanLoss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, index);
        }
    }
}
