//! The limits of a server: how many connections and calls it has at once, and how many bytes they make it hold.

mod call_slots;
mod connection_limits;
mod misuse;
mod pending;
mod request_budget;

pub(super) use call_slots::CallSlots;
pub(super) use connection_limits::{ConnectionLimits, ConnectionPermit, TooMany};
pub(super) use pending::{OVERHEAD, PendingBudget, PendingBytes};
pub(super) use request_budget::RequestBudget;

/// The most headers of a request, which has about a dozen. By HTTP/1.1 the connection is closed above this. By HTTP/2 the
/// handler of calls refuses the request: h2 limits the bytes alone, and a header takes memory beside its bytes.
pub(super) const MAX_HEADERS: usize = 64;
