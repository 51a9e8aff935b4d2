//! Opening: verifies and reads the request's cookie.
//!
//! Never fails because of what a browser sent: a rejected cookie is counted by its reason, and the session is new.

use super::CookieCall;
use crate::service::{Credential, Error, Found, Header, OpenRequest, Opened};

impl CookieCall<'_> {
    /// Opens the session in a request's cookies, or a new one.
    pub(in crate::service) fn open(&self, open: &OpenRequest<'_>) -> Result<Opened, Error> {
        if open.max_authenticate_age.is_some() {
            return Err(Error::NotInCookieKind("max_authenticate_age"));
        }
        let session = match open.credential {
            Credential::Absent | Credential::Token("") => None,
            Credential::CookieHeader(header) => self.first_session(header),
            Credential::Token(text) => self.verify_or_count(text),
            Credential::Key(_) => return Err(Error::KeyNotAccepted),
        };
        let (session, header) = match session {
            None => (self.new_session()?, None),
            Some(session) => {
                self.stats.count_opened(&self.app.name);
                self.finding.note(Found::Live);
                self.refresh(session)
            }
        };
        self.stats.count_open(&self.app.name, &self.finding);
        let untouched_headers = match &header {
            Some(header) => vec![header.clone(), Header::vary()],
            None => Vec::new(),
        };
        let read_headers = header.into_iter().chain([Header::vary()]).collect();
        let (cookie_outdated, recently_authenticated, end_reason) = (false, false, None);
        Ok(Opened {
            entries: session.entries.clone(),
            session: self.view(session),
            read_headers,
            untouched_headers,
            cookie_outdated,
            recently_authenticated,
            end_reason,
        })
    }
}
