//! Turns spans into the request of one export.

use super::messages::Resource;
use super::resource::{attribute, scope};
use super::span_messages::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, SpanMessage, Status};
use crate::telemetry::spans::{self, Parent, SpanKind};

/// Returns the request with these spans, all of one resource.
pub(super) fn request(resource: &Resource, spans: &[spans::Span]) -> ExportTraceServiceRequest {
    let spans = spans.iter().map(span).collect();
    let scope_spans = ScopeSpans { scope: Some(scope()), spans, schema_url: CONVENTIONS.to_owned() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![scope_spans] }],
    }
}

fn span(span: &spans::Span) -> SpanMessage {
    let (parent, remote) = match span.parent {
        Parent::Root => (Vec::new(), 0),
        Parent::Local(id) => (id.to_be_bytes().to_vec(), 0),
        Parent::Remote(id) => (id.to_be_bytes().to_vec(), IS_REMOTE),
    };
    SpanMessage {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        trace_state: span.trace_state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: parent,
        name: span.name.clone().into_owned(),
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: span.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        status: span.is_error.then_some(Status { code: ERROR }),
        flags: SAMPLED | HAS_IS_REMOTE | remote,
    }
}

/// The version of OpenTelemetry's conventions that the names of attributes follow.
const CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.25.0";

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

// The flags of a span: those of its trace, and two that say whether its parent is in another process.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 1 << 8;
const IS_REMOTE: u32 = 1 << 9;
