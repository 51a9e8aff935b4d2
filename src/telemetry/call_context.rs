//! The call that a log line belongs to: its RPC, its id and the trace of its caller.
//!
//! Every line that is logged while a call runs gets these fields, without any code where it is logged.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::spans::{self, CallSpan, Tracer};
use super::trace::Trace;
use super::unique_number::unique_number;

/// The fields of a call in logs.
#[derive(Clone, Debug)]
pub struct CallContext {
    rpc: &'static str,
    id: CallId,
    trace: Option<Trace>,
    /// `None`: the call is not sampled.
    span: Option<Arc<CallSpan>>,
    /// `None` if nobody needs it, or before it is known.
    caller: Option<Arc<str>>,
}

/// The id by which an operator finds a call in the logs.
#[derive(Clone, Debug)]
pub enum CallId {
    /// The value of `x-request-id`.
    FromCaller(Arc<str>),
    /// Generated, because the caller sent no id, or none that is safe in a log.
    Generated(u64),
}

tokio::task_local! {
    static CURRENT: CallContext;
}

impl CallContext {
    /// Reads the id and the trace from the headers of a call, and begins its span if it is sampled.
    pub fn new(rpc: &'static str, headers: &HeaderMap, tracer: &Tracer) -> Self {
        let trace = Trace::from_headers(headers);
        Self { rpc, id: CallId::from_headers(headers), trace, span: tracer.begin(trace, headers), caller: None }
    }

    /// Returns the id of the call.
    pub const fn id(&self) -> &CallId {
        &self.id
    }

    /// Returns the span of the call. `None`: the call is not sampled.
    pub fn span(&self) -> Option<&CallSpan> {
        self.span.as_deref()
    }

    /// Drops the span of the call, which is never exported then.
    pub fn drop_span(&mut self) {
        self.span = None;
    }

    /// Gives the span of the call that this task runs, if there is one.
    pub fn with_span(f: impl FnOnce(&CallSpan)) {
        if spans::are_spans_recorded() {
            Self::with_current(|call| call.span().map(f));
        }
    }

    /// Returns the call that this task runs. `None` outside of calls.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Returns the RPC, as `package.Service/Method`.
    pub const fn rpc(&self) -> &'static str {
        self.rpc
    }

    /// Returns the name of the caller, if it was noted.
    pub fn caller(&self) -> Option<&str> {
        self.caller.as_deref()
    }

    /// Notes the name of the caller.
    pub fn note_caller(&mut self, name: impl fmt::Display) {
        self.caller = Some(name.to_string().into());
    }

    /// Makes a future a part of the call that this task runs, for another task to run it.
    pub fn inherit<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let current = Self::current();
        async move {
            match current {
                Some(call) => call.scope(future).await,
                None => future.await,
            }
        }
    }

    /// Runs a future as a part of the call.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        // The future of an `async fn` would hold `future` twice, and the future of every call is moved a few times.
        CURRENT.scope(self.clone(), future)
    }

    /// Runs a function as a part of the call.
    pub fn sync_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), f)
    }

    /// Runs a function with the call that this task runs. `None` outside of calls.
    pub(super) fn with_current<T>(f: impl FnOnce(&Self) -> T) -> Option<T> {
        CURRENT.try_with(f).ok()
    }

    /// Writes each field by its name and its value. The values need no escaping in any format.
    pub(super) fn fields(&self, mut field: impl FnMut(&str, &dyn fmt::Display) -> fmt::Result) -> fmt::Result {
        field("call.id", &self.id)?;
        field("call.rpc", &self.rpc)?;
        let of_span = || self.span.as_ref().map(|span| span.trace_id());
        if let Some(id) = self.trace.map(|trace| trace.id).or_else(of_span) {
            field("trace.id", &format_args!("{id:032x}"))?;
        }
        if let Some(trace) = self.trace {
            field("trace.parent_id", &format_args!("{:016x}", trace.parent))?;
        }
        match &self.span {
            Some(span) => field("trace.span_id", &format_args!("{:016x}", span.id())),
            None => Ok(()),
        }
    }
}

impl CallId {
    fn from_headers(headers: &HeaderMap) -> Self {
        let sent = headers.get(&REQUEST_ID).map(http::HeaderValue::as_bytes);
        match sent.filter(|id| is_safe(id)).and_then(|id| std::str::from_utf8(id).ok()) {
            Some(id) => Self::FromCaller(id.into()),
            None => Self::Generated(unique_number()),
        }
    }

    /// The header of requests with the id, and of responses to failed calls.
    pub fn header() -> &'static HeaderName {
        &REQUEST_ID
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromCaller(id) => f.write_str(id),
            Self::Generated(number) => write!(f, "{number:016x}"),
        }
    }
}

/// Returns whether an id is short, and has only characters without a meaning in any format of logs.
fn is_safe(id: &[u8]) -> bool {
    let safe = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=MAX_BYTES).contains(&id.len()) && id.iter().all(safe)
}

/// Enough for a UUID or a trace id.
const MAX_BYTES: usize = 64;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn id(sent: &str) -> CallId {
        let mut headers = HeaderMap::new();
        headers.insert(CallId::header(), sent.parse().unwrap());
        CallId::from_headers(&headers)
    }

    #[test]
    fn the_id_of_a_caller_is_used_if_it_is_safe_in_a_log() {
        for sent in ["7", "0b8f5a4e-6f0e-4c1e-9a55-2d5d8e1a7f31", "Root_1.a", &"a".repeat(64)] {
            assert_eq!(id(sent).to_string(), sent);
        }
        for sent in ["", "a b", "a\"b", "a\tb", "a{b}", "a=b", "ä", &"a".repeat(65)] {
            assert!(matches!(id(sent), CallId::Generated(_)), "{sent}");
        }
    }

    #[test]
    fn generated_ids_are_unique() {
        let ids: HashSet<String> = (0..10_000).map(|_| CallId::from_headers(&HeaderMap::new()).to_string()).collect();

        assert_eq!(ids.len(), 10_000);
    }
}
