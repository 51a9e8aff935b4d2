//! Destroying: the cookie goes, and nothing else can.
//!
//! A copy of the cookie stays good until it is too old: that is what apps of kind `stored` are for.

use super::CookieCall;
use crate::service::{Credential, Destroy, Destroyed, Error, Fate, Header};
use crate::session::EndReason;

impl CookieCall<'_> {
    /// Answers the headers that delete the cookie.
    pub(in crate::service) fn destroy(&self, destroy: &Destroy<'_>) -> Result<Destroyed, Error> {
        let found = match destroy.credential {
            Credential::CookieHeader(header) => self.first(header).is_some(),
            credential => self.claim(credential).map(|_| true)?,
        };
        let fate = if found { Fate::Deleted(EndReason::Destroyed) } else { Fate::Gone(None) };
        Ok(Destroyed { fate, headers: Header::deleting(&self.cookie) })
    }
}
