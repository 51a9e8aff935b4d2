//! Opening: what the request's cookie holds.
//!
//! Never fails for what a browser sent: a cookie that opens nothing is counted by its reason, and the session is new.

use super::CookieCall;
use crate::service::{Credential, Error, Header, OpenRequest, Opened};

impl CookieCall<'_> {
    /// Opens the session that a request's cookies hold, or a new one.
    pub(in crate::service) fn open(&self, open: &OpenRequest<'_>) -> Result<Opened, Error> {
        if open.max_authenticate_age.is_some() {
            return Err(Error::NotInCookieKind("max_authenticate_age"));
        }
        let session = match open.credential {
            Credential::Absent | Credential::Token("") => None,
            Credential::CookieHeader(header) => self.first(header),
            Credential::Token(text) => {
                let read = self.read(text, self.app.lifetimes.idle_timeout);
                read.inspect_err(|why| self.stats.rejected_cookie(&self.app.name, *why)).ok()
            }
        };
        let (session, header) = match session {
            None => (self.blank()?, None),
            Some(session) => {
                self.stats.opened(&self.app.name);
                self.refreshed(session)
            }
        };
        let untouched_headers = match &header {
            Some(header) => vec![header.clone(), Header::vary()],
            None => Vec::new(),
        };
        let read_headers = header.into_iter().chain([Header::vary()]).collect();
        Ok(Opened { session: self.view(session), read_headers, untouched_headers, recently_authenticated: false })
    }
}
