//! Apps of kind `cookie`: the session is in its cookie, signed as Flask signs it.
//!
//! No store takes part, so every call can be repeated and does the same again. Knows nothing of tokens and tickets,
//! which are never tried here.

mod destroy;
mod explain;
mod open;
mod save;

use std::borrow::Cow;
use std::time::Duration;

use tracing::warn;

use super::call_counts::{CallFinding, Found};
use super::headers::Header;
use super::stats::Stats;
use super::view::{NullReason, SessionTimes, SessionView};
use super::{Credential, Error, Service};
use crate::app::{App, Kind};
use crate::cookie::{self, CookieChanges, Expiry};
use crate::flask::{self, Signer};
use crate::session::{Entries, Version};
use crate::types::Time;

/// One call for an app of kind `cookie`: with one time and one cookie.
pub(super) struct CookieCall<'s> {
    app: &'s App,
    signer: &'s Signer,
    stats: &'s Stats,
    cookie: Cow<'s, cookie::Template>,
    now: Time,
    finding: CallFinding,
}

/// The session in a cookie.
struct CookieSession {
    /// The value of the cookie.
    token: String,
    entries: Entries,
    permanent: Option<bool>,
    /// The time when it was signed.
    issued: Time,
}

impl CookieSession {
    /// Whether this is a new session: Flask signs no empty one.
    fn is_new(&self) -> bool {
        self.entries.count() == 0 && self.permanent.is_none()
    }
}

impl Service {
    /// Begins a call for an app of kind `cookie`; `None`: the app is of another kind.
    pub(super) fn begin_cookie_call<'s>(
        &'s self,
        app: &'s App,
        changes: CookieChanges<'_>,
    ) -> Result<Option<CookieCall<'s>>, Error> {
        let Kind::Cookie(signer) = &app.kind else { return Ok(None) };
        let signer = signer.as_ref().ok_or(Error::NullSession(NullReason::NoKey))?;
        let cookie = app.cookie.changed(&changes)?;
        Ok(Some(CookieCall {
            app,
            signer,
            stats: &self.stats,
            cookie,
            now: self.clock.now(),
            finding: CallFinding::default(),
        }))
    }
}

impl CookieCall<'_> {
    /// Verifies the session of a write. A token that was good at the open stays good for the length of a request.
    fn resolve_credential(&self, credential: Credential<'_>) -> Result<CookieSession, Error> {
        match credential {
            Credential::Absent | Credential::Token("") => Err(Error::TokenMissing),
            Credential::Token(text) => {
                let max_age = self.app.lifetimes.idle_timeout + REQUEST_TIME;
                self.verify(text, max_age).map_err(Error::CookieInvalid)
            }
            Credential::Key(_) => Err(Error::KeyNotAccepted),
            Credential::CookieHeader(header) => self.first_session(header).map_or_else(|| self.new_session(), Ok),
        }
    }

    /// Returns the session of the first cookie that verifies. Flask reads only the first cookie of the name.
    fn first_session(&self, header: &str) -> Option<CookieSession> {
        let name = self.cookie.attributes().name.as_str();
        let mut values = cookie::values(header, name).filter(|text| !text.is_empty());
        values.find_map(|text| self.verify_or_count(text))
    }

    /// Verifies a cookie; `None` if it is rejected, which is counted.
    fn verify_or_count(&self, text: &str) -> Option<CookieSession> {
        let verified = self.verify(text, self.app.lifetimes.idle_timeout);
        if let Err(rejection) = verified {
            self.stats.count_rejected_cookie(&self.app.name, rejection);
            let is_old = rejection == flask::CookieRejection::Expired;
            self.finding.note(if is_old { Found::Idle } else { Found::Rejected });
        }
        verified.ok()
    }

    fn verify(&self, text: &str, max_age: Duration) -> Result<CookieSession, flask::CookieRejection> {
        let flask::VerifiedCookie { entries, permanent, issued, .. } = self.signer.verify(text, max_age, self.now)?;
        Ok(CookieSession { token: text.to_owned(), entries, permanent, issued })
    }

    fn new_session(&self) -> Result<CookieSession, Error> {
        self.sign(Entries::default(), None)
    }

    /// Signs a session, as issued now.
    fn sign(&self, entries: Entries, permanent: Option<bool>) -> Result<CookieSession, Error> {
        let token = self.signer.sign(&entries, permanent, self.now)?;
        Ok(CookieSession { token, entries, permanent, issued: self.now })
    }

    /// Returns the session as a caller sees it: without an id, which would find nothing.
    fn view(&self, session: CookieSession) -> SessionView {
        let idle_timeout = self.app.lifetimes.idle_timeout;
        SessionView {
            id: None,
            version: if session.is_new() { Version::NEW } else { Version::NEW.next() },
            token: session.token,
            permanent: session.permanent,
            subject: None,
            times: Some(SessionTimes {
                create_time: None,
                access_time: self.now,
                authenticate_time: None,
                expire_time: session.issued + idle_timeout,
                idle_timeout,
            }),
            null: None,
        }
    }

    /// Returns the header that sets the session's cookie.
    fn set_cookie(&self, session: &CookieSession) -> Result<Header, cookie::TemplateError> {
        let time = session.issued + self.app.lifetimes.idle_timeout;
        let is_permanent = session.permanent == Some(true);
        let expiry = if is_permanent { Expiry::At { time, now: self.now } } else { Expiry::WithBrowser };
        self.cookie.set(&session.token, expiry).map(Header::set_cookie)
    }

    /// Signs an unchanged session again if its expiry moves on. Returns the header that sets the new cookie.
    fn refresh(&self, session: CookieSession) -> (CookieSession, Option<Header>) {
        if !self.app.should_set_cookie(false, session.permanent == Some(true)) {
            return (session, None);
        }
        let again = self.sign(session.entries.clone(), session.permanent);
        match again.and_then(|again| Ok((self.set_cookie(&again).map_err(Error::Cookie)?, again))) {
            Ok((header, again)) => (again, Some(header)),
            // Another zlib may have compressed it better. The browser keeps its cookie, and nothing has changed.
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, app = %self.app.name, "a cookie is not signed again");
                (session, None)
            }
        }
    }
}

/// How much longer a token is good for a save than for an open: the save ends the request that the open began.
const REQUEST_TIME: Duration = Duration::from_secs(15 * 60);
