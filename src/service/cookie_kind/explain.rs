//! Explaining: whether a cookie verifies, and why not.

use super::CookieCall;
use crate::service::{CredentialState, Explanation};

impl CookieCall<'_> {
    /// Explains one cookie.
    pub(in crate::service) fn explain(&self, text: &str) -> Explanation {
        let idle_timeout = self.app.lifetimes.idle_timeout;
        match self.verify(text, idle_timeout) {
            Ok(session) => {
                let end_time = Some(session.issued + idle_timeout);
                Explanation { end_time, ..Explanation::new(CredentialState::Live) }
            }
            Err(rejection) => Explanation::new(CredentialState::Rejected(rejection.as_str())),
        }
    }
}
