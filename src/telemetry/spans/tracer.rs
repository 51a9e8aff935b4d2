//! The tracer: decides which calls have a span.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::queue::{self, QueuedSpans, SpanCounts, SpanQueue};
use super::{CallSpan, Parent, SampleRatio};
use crate::telemetry::trace::Trace;
use crate::telemetry::unique_number::unique_number;
use crate::types::{Clock, random};

/// Begins the spans of calls. The default one begins none. Clones share their queue.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<TracerState>>);

#[derive(Debug)]
struct TracerState {
    ratio: SampleRatio,
    clock: Arc<dyn Clock>,
    queue: SpanQueue,
}

/// Whether this process has a tracer. Without one, nothing looks for the span of its call.
static IS_RECORDING: AtomicBool = AtomicBool::new(false);

pub(in crate::telemetry) fn are_spans_recorded() -> bool {
    IS_RECORDING.load(Ordering::Relaxed)
}

impl Tracer {
    /// Creates a tracer, and the queue of its spans.
    ///
    /// A call has a span if its caller has sampled the trace. If the call begins a trace, the ratio decides.
    pub fn new(ratio: SampleRatio, clock: Arc<dyn Clock>) -> (Self, QueuedSpans) {
        IS_RECORDING.store(true, Ordering::Relaxed);
        let (queue, queued) = queue::open();
        (Self(Some(Arc::new(TracerState { ratio, clock, queue }))), queued)
    }

    /// Returns what became of its spans. `None`: it begins none.
    pub fn counts(&self) -> Option<&Arc<SpanCounts>> {
        self.0.as_ref().map(|state| state.queue.counts())
    }

    /// Begins the span of a call, if it is sampled.
    pub(in crate::telemetry) fn begin(&self, trace: Option<Trace>, headers: &HeaderMap) -> Option<Arc<CallSpan>> {
        let state = self.0.as_ref()?;
        let (trace_id, parent) = match trace {
            Some(trace) if trace.is_sampled => (trace.id, Parent::Remote(trace.parent)),
            Some(_) => return None,
            None if state.ratio.includes(unique_number) => (trace_id(), Parent::Root),
            None => return None,
        };
        Some(Arc::new(CallSpan {
            trace_id,
            id: span_id(),
            parent,
            trace_state: trace.and_then(|_| trace_state(headers)),
            begin: Instant::now(),
            start: state.clock.nanoseconds(),
            notes: Mutex::default(),
            operations: AtomicU64::new(0),
            queue: state.queue.clone(),
        }))
    }
}

/// Returns an id that no other trace has, and that is not 0.
fn trace_id() -> u128 {
    u128::from_be_bytes(random::bytes()).max(1)
}

/// Returns an id that no other span of the trace has, and that is not 0.
pub(super) fn span_id() -> u64 {
    unique_number().max(1)
}

/// Returns the caller's `tracestate`: what other systems of traces keep beside a trace. `None` if it is too long
/// or not ASCII.
fn trace_state(headers: &HeaderMap) -> Option<Arc<str>> {
    let values = headers.get_all(&TRACESTATE).iter().map(|value| value.to_str().ok());
    let joined = values.collect::<Option<Vec<_>>>()?.join(",");
    (!joined.is_empty() && joined.len() <= MAX_STATE_BYTES).then(|| joined.into())
}

/// The length that every system has to pass on.
const MAX_STATE_BYTES: usize = 512;

static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
