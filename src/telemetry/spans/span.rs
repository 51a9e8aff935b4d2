//! A span that has ended, with the names and values of OpenTelemetry.

use std::borrow::Cow;
use std::sync::Arc;

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace_id: u128,
    pub id: u64,
    pub parent: Parent,
    /// The caller's `tracestate`.
    pub trace_state: Option<Arc<str>>,
    pub name: Cow<'static, str>,
    pub kind: SpanKind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    pub attributes: SpanAttributes,
    pub is_error: bool,
}

/// The span that a span is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// None: the trace begins here.
    Root,
    /// A span of this process.
    Local(u64),
    /// The span of a caller.
    Remote(u64),
}

/// The role of a span toward the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// It has no other side.
    Internal,
    Server,
    Client,
}

/// The names and values that a span has.
pub type SpanAttributes = Vec<(&'static str, AttributeValue)>;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    Text(Cow<'static, str>),
    Number(i64),
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}
