//! Django's sessions: those in its signed cookies, and those that a cookie names by a session key.
//!
//! The cookie, and the text in a row of the table `django_session`, are `payload:time:signature`, as Django's
//! `signing.dumps` writes them. The payload is a JSON object; a pickle is never read. Only reads. Pure: knows keys, text
//! and times, never an app, a request or a store.

mod cookie;
mod expiry;
mod session;
mod session_key;
mod signer;

pub use cookie::VerifiedCookie;
pub use expiry::SessionExpiry;
pub use session::DecodedSession;
pub use session_key::DjangoSessionKey;
pub use signer::{COOKIE_SALT, ROW_SALT, Signer};

use crate::signing::PayloadError;

/// Why a cookie or a record is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionRejection {
    /// It is not written as Django writes it, or Django could not go on with it.
    Malformed,
    /// It is forged, or signed with another key or salt.
    BadSignature,
    Expired,
    FromTheFuture,
    /// It is a pickle. Reading a pickle can run any code.
    Pickle,
    /// Its content is over 1 MiB.
    TooLarge,
}

impl From<PayloadError> for SessionRejection {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Malformed => Self::Malformed,
            PayloadError::TooLarge => Self::TooLarge,
        }
    }
}
