//! Destroying: deletes the cookie, which is all that can be done.
//!
//! A copy of the cookie stays good until it is too old. Apps of kind `stored` do not have this weakness.

use super::CookieCall;
use crate::service::{Credential, DestroyRequest, Destroyed, Error, Header, Outcome};
use crate::session::EndReason;

impl CookieCall<'_> {
    /// Returns the headers that delete the cookie.
    pub(in crate::service) fn destroy(&self, destroy: &DestroyRequest<'_>) -> Result<Destroyed, Error> {
        let found = match destroy.credential {
            Credential::CookieHeader(header) => self.first_session(header).is_some(),
            credential => self.resolve_credential(credential).map(|_| true)?,
        };
        let outcome = if found { Outcome::Deleted(EndReason::Destroyed) } else { Outcome::Gone(None) };
        Ok(Destroyed { outcome, headers: Header::delete_cookie(&self.cookie) })
    }
}
