//! The `Cookie` header of a request and the `Set-Cookie` header of a response, strictly by RFC 6265bis.
//!
//! Knows names and attributes, never what a value means.

mod changes;
mod header;
mod set_cookie;

pub use changes::{CookieChanges, CookieChangesError};
pub use header::{MAX_CANDIDATES, MAX_HEADER_BYTES, values};
pub use set_cookie::{Attributes, Expiry, MAX_COOKIE_BYTES, Name, SameSite, Template, TemplateError};
