//! A session that is wholly in its signed cookie.

use std::time::Duration;

use super::session::DecodedSession;
use super::{SessionRejection, Signer};
use crate::types::Time;

/// The content of a cookie with a valid signature that is not too old.
#[derive(Clone, Debug)]
pub struct VerifiedCookie {
    pub session: DecodedSession,
    /// When the cookie was signed, to the second. It may be a minute after now: see [`Signer::verify_cookie`].
    pub issued: Time,
    /// When the cookie becomes too old, or its session expires, whichever is earlier.
    pub until: Time,
    /// The decoded signature, which identifies the cookie.
    pub signature: Box<[u8]>,
}

impl Signer {
    /// Reads a cookie that was signed at most `lifetime` before `now`.
    ///
    /// The session in it may set an earlier end (`set_expiry`). Django leaves that to the browser; a cookie that was
    /// copied would live on. Django accepts a cookie from any time in the future. Here it may be a minute: servers'
    /// clocks differ by seconds, and one that is signed for next year would not expire.
    pub fn verify_cookie(&self, text: &str, lifetime: Duration, now: Time) -> Result<VerifiedCookie, SessionRejection> {
        let signed = self.unsign(text)?;
        if signed.issued > now + MAX_CLOCK_DIFFERENCE {
            return Err(SessionRejection::FromTheFuture);
        }
        if now > signed.issued + lifetime {
            return Err(SessionRejection::Expired);
        }
        let session = signed.decode()?;
        let until = session.expiry.end(signed.issued).unwrap_or(Time::MAX).min(signed.issued + lifetime);
        if now > until {
            return Err(SessionRejection::Expired);
        }
        Ok(VerifiedCookie { session, issued: signed.issued, until, signature: signed.signature.into() })
    }
}

const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);
