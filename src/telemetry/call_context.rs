//! Which call a log line is about: its RPC, its id, and the trace that its caller is in.
//!
//! Every line that is written while a call is answered says so; no place that logs has to think of it.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::trace::Trace;
use crate::types::random;

/// A call, as logs name it.
#[derive(Clone, Debug)]
pub struct CallContext {
    rpc: &'static str,
    id: CallId,
    trace: Option<Trace>,
}

/// What an operator finds a call by.
#[derive(Clone, Debug)]
pub enum CallId {
    /// As the caller named it, in `x-request-id`.
    Given(Arc<str>),
    /// As the service named it, because the caller did not, or not in a way that a log can bear.
    Made(u64),
}

tokio::task_local! {
    static CALL: CallContext;
}

impl CallContext {
    /// A call with these headers.
    pub fn new(rpc: &'static str, headers: &HeaderMap) -> Self {
        Self { rpc, id: CallId::of(headers), trace: Trace::of(headers) }
    }

    /// Its id.
    pub const fn id(&self) -> &CallId {
        &self.id
    }

    /// Does something on behalf of the call.
    pub fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        // Not by an `async fn`, whose future would hold the work twice: every call's future is moved a few times.
        CALL.scope(self.clone(), work)
    }

    /// Does something short on behalf of the call.
    pub fn step<T>(&self, work: impl FnOnce() -> T) -> T {
        CALL.sync_scope(self.clone(), work)
    }

    /// What to say of the call that runs here, if one does.
    pub(super) fn current<T>(say: impl FnOnce(&Self) -> T) -> Option<T> {
        CALL.try_with(say).ok()
    }

    /// What a line says of it: names of fields, and values that need no escape anywhere.
    pub(super) fn fields(&self, mut field: impl FnMut(&str, &dyn fmt::Display) -> fmt::Result) -> fmt::Result {
        field("call.id", &self.id)?;
        field("call.rpc", &self.rpc)?;
        let Some(trace) = self.trace else { return Ok(()) };
        field("trace.id", &format_args!("{:032x}", trace.id))?;
        field("trace.parent_id", &format_args!("{:016x}", trace.parent))
    }
}

impl CallId {
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&REQUEST_ID).map(http::HeaderValue::as_bytes);
        match given.filter(|id| is_plain(id)).and_then(|id| std::str::from_utf8(id).ok()) {
            Some(id) => Self::Given(id.into()),
            None => Self::Made(made()),
        }
    }

    /// Where callers give it, and are told it when their call fails.
    pub fn header() -> &'static HeaderName {
        &REQUEST_ID
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id),
            Self::Made(number) => write!(f, "{number:016x}"),
        }
    }
}

/// Whether it is short, and of characters that mean nothing to any reader of logs.
fn is_plain(id: &[u8]) -> bool {
    let plain = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=LONGEST).contains(&id.len()) && id.iter().all(plain)
}

/// A number that no other call has, for next to nothing: every thread counts from a place of its own.
fn made() -> u64 {
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(u64::from_be_bytes(random::bytes()));
    }
    NEXT.with(|next| {
        // The steps of the golden ratio come by every number once, and look like none is the next of another.
        next.set(next.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        next.get()
    })
}

/// Longer than a UUID or a trace id.
const LONGEST: usize = 64;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn id(given: &str) -> CallId {
        let mut headers = HeaderMap::new();
        headers.insert(CallId::header(), given.parse().unwrap());
        CallId::of(&headers)
    }

    #[test]
    fn a_callers_id_is_kept_if_a_log_can_bear_it() {
        for given in ["7", "0b8f5a4e-6f0e-4c1e-9a55-2d5d8e1a7f31", "Root_1.a", &"a".repeat(64)] {
            assert_eq!(id(given).to_string(), given);
        }
        for given in ["", "a b", "a\"b", "a\tb", "a{b}", "a=b", "ä", &"a".repeat(65)] {
            assert!(matches!(id(given), CallId::Made(_)), "{given}");
        }
    }

    #[test]
    fn no_two_calls_are_given_one_id() {
        let ids: HashSet<String> = (0..10_000).map(|_| CallId::of(&HeaderMap::new()).to_string()).collect();

        assert_eq!(ids.len(), 10_000);
    }
}
