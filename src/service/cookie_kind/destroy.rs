//! Destroying: the cookie goes, and nothing else can.
//!
//! A copy of the cookie stays good until it is too old: that is what apps of kind `stored` are for.

use super::CookieCall;
use crate::service::{Credential, DestroyRequest, Destroyed, Error, Header, Outcome};
use crate::session::EndReason;

impl CookieCall<'_> {
    /// Answers the headers that delete the cookie.
    pub(in crate::service) fn destroy(&self, destroy: &DestroyRequest<'_>) -> Result<Destroyed, Error> {
        let found = match destroy.credential {
            Credential::CookieHeader(header) => self.first(header).is_some(),
            credential => self.claim(credential).map(|_| true)?,
        };
        let outcome = if found { Outcome::Deleted(EndReason::Destroyed) } else { Outcome::Gone(None) };
        Ok(Destroyed { outcome, headers: Header::deleting(&self.cookie) })
    }
}
