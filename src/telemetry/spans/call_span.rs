//! The span of a call that runs, and the spans of what the call does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::queue::SpanQueue;
use super::{AttributeValue, Parent, Span, SpanAttributes, SpanKind};
use crate::telemetry::metrics::Exemplar;

/// The span of a call that has not ended.
#[derive(Debug)]
pub struct CallSpan {
    pub(super) trace_id: u128,
    pub(super) id: u64,
    pub(super) parent: Parent,
    pub(super) trace_state: Option<Arc<str>>,
    pub(super) begin: Instant,
    /// `begin` in nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) notes: Mutex<SpanAttributes>,
    /// How many operations the call has done.
    pub(super) operations: AtomicU64,
    pub(super) queue: SpanQueue,
}

/// An operation that a call had to wait for.
#[derive(Debug)]
pub struct OperationSpan {
    pub name: String,
    pub kind: SpanKind,
    pub begin: Instant,
    pub duration: Duration,
    pub attributes: SpanAttributes,
    pub is_error: bool,
}

impl CallSpan {
    pub(in crate::telemetry) const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    pub(in crate::telemetry) const fn id(&self) -> u64 {
        self.id
    }

    /// Adds an attribute, or replaces it.
    pub fn note(&self, name: &'static str, value: impl Into<AttributeValue>) {
        let mut notes = self.notes.lock();
        notes.retain(|(noted, _)| *noted != name);
        notes.push((name, value.into()));
    }

    /// Returns the call as an example of its duration so far.
    pub fn exemplar(&self, duration: Duration) -> Exemplar {
        Exemplar {
            trace_id: self.trace_id,
            span_id: self.id,
            nanos: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
            time: self.time(self.begin + duration),
        }
    }

    /// Ends the span: puts it into the queue, with these attributes beside the noted ones.
    pub fn end(&self, name: &'static str, mut attributes: SpanAttributes, is_error: bool) {
        attributes.append(&mut self.notes.lock());
        let left_out = self.operations.load(Ordering::Relaxed).saturating_sub(MAX_OPERATIONS);
        if left_out > 0 {
            attributes.push(("cloakroom.left_out_operations", i64::try_from(left_out).unwrap_or(i64::MAX).into()));
        }
        self.queue.push(Span {
            trace_id: self.trace_id,
            id: self.id,
            parent: self.parent,
            trace_state: self.trace_state.clone(),
            name: name.into(),
            kind: SpanKind::Server,
            start: self.start,
            end: self.time(Instant::now()),
            attributes,
            is_error,
        });
    }

    /// Puts the span of an operation of the call into the queue, but for those after very many.
    ///
    /// A watch reads the store ten times a second for as long as it lives.
    pub fn record_operation(&self, operation: OperationSpan) {
        if self.operations.fetch_add(1, Ordering::Relaxed) >= MAX_OPERATIONS {
            return;
        }
        let OperationSpan { name, kind, begin, duration, attributes, is_error } = operation;
        self.queue.push(Span {
            trace_id: self.trace_id,
            id: super::tracer::span_id(),
            parent: Parent::Local(self.id),
            trace_state: self.trace_state.clone(),
            name: name.into(),
            kind,
            start: self.time(begin),
            end: self.time(begin + duration),
            attributes,
            is_error,
        });
    }

    /// Returns an instant in nanoseconds since 1970. The clock is read once a call, so that a step of it changes no
    /// duration.
    fn time(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.begin).as_nanos();
        self.start.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

/// The most operations of a call that have spans.
const MAX_OPERATIONS: u64 = 128;

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::super::{SampleRatio, Tracer};
    use super::*;
    use crate::types::SystemClock;

    #[tokio::test]
    async fn a_call_of_very_many_operations_has_spans_for_the_first_and_counts_the_others() {
        let (tracer, mut queued) = Tracer::new(SampleRatio::try_from(1.0).unwrap(), Arc::new(SystemClock));
        let call = tracer.begin(None, &HeaderMap::new()).unwrap();

        for _ in 0..MAX_OPERATIONS + 5 {
            call.record_operation(OperationSpan {
                name: "store.load".to_owned(),
                kind: SpanKind::Internal,
                begin: Instant::now(),
                duration: Duration::ZERO,
                attributes: Vec::new(),
                is_error: false,
            });
        }
        call.end("call", Vec::new(), false);

        let mut spans = Vec::new();
        queued.take(&mut spans, usize::MAX);
        assert_eq!(spans.len() as u64, MAX_OPERATIONS + 1);
        let left_out = ("cloakroom.left_out_operations", AttributeValue::Number(5));
        assert_eq!(spans.last().unwrap().attributes, [left_out]);
    }
}
