//! Where a session was last used from.

use std::fmt;

/// Where a session was last used from, as the frontend sent it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestContext {
    /// The `User-Agent`, cut to 256 bytes.
    pub user_agent: Box<str>,
    /// The user's address.
    pub remote_address: Box<str>,
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestContext(..)")
    }
}
