//! Spans: which calls have one, what it says, and the queue in which it waits for its export.
//!
//! Knows nothing of a collector. A span never has a token, a name or value of an entry, a subject or an address.

mod call_span;
mod queue;
mod sample_ratio;
mod span;
mod tracer;

pub use call_span::{CallSpan, OperationSpan};
pub use queue::{QueuedSpans, SpanCounts, SpanLoss};
pub use sample_ratio::{SampleRatio, SampleRatioError};
pub use span::{AttributeValue, Parent, Span, SpanAttributes, SpanKind};
pub use tracer::Tracer;

pub(super) use tracer::are_spans_recorded;
