//! Apps of kind `cookie`: what a session holds stands in its cookie, signed as Flask signs it.
//!
//! No store is asked and nothing is kept, so every call may be repeated: it does the same again. Knows nothing of
//! tokens and tickets, which are never tried here.

mod destroy;
mod open;
mod save;

use std::borrow::Cow;
use std::time::Duration;

use tracing::warn;

use super::stats::Stats;
use super::view::{Header, NullReason, SessionTimes, SessionView};
use super::{Credential, Error, Service, cookie_of};
use crate::app::{App, Kind};
use crate::cookie::{self, Expiry};
use crate::flask::{self, Signer};
use crate::session::{Entries, Version};
use crate::types::Time;

/// One call on behalf of an app of kind `cookie`: at one time, with one cookie.
pub(super) struct CookieCall<'s> {
    app: &'s App,
    signer: &'s Signer,
    stats: &'s Stats,
    cookie: Cow<'s, cookie::Template>,
    now: Time,
}

/// A session as its cookie holds it.
struct CookieSession {
    /// The cookie's text.
    token: String,
    entries: Entries,
    permanent: Option<bool>,
    /// When it was signed.
    issued: Time,
}

impl CookieSession {
    /// Flask signs no session that holds nothing: such a text is the token of a new one.
    fn is_new(&self) -> bool {
        self.entries.count() == 0 && self.permanent.is_none()
    }
}

impl Service {
    /// The call, if the app keeps its sessions in the cookie.
    pub(super) fn cookie_call<'s>(
        &'s self,
        app: &'s App,
        cookie_name: Option<&str>,
    ) -> Result<Option<CookieCall<'s>>, Error> {
        let Kind::Cookie(signer) = &app.kind else { return Ok(None) };
        let signer = signer.as_ref().ok_or(Error::NullSession(NullReason::NoKey))?;
        let cookie = cookie_of(app, cookie_name)?;
        Ok(Some(CookieCall { app, signer, stats: &self.stats, cookie, now: self.clock.now() }))
    }
}

impl CookieCall<'_> {
    /// The session of a write. A token was good at its open, and is so for the length of a request.
    fn claim(&self, credential: Credential<'_>) -> Result<CookieSession, Error> {
        match credential {
            Credential::Absent | Credential::Token("") => Err(Error::TokenMissing),
            Credential::Token(text) => {
                let max_age = self.app.lifetimes.idle_timeout + REQUEST_TIME;
                self.read(text, max_age).map_err(Error::CookieInvalid)
            }
            Credential::CookieHeader(header) => self.first(header).map_or_else(|| self.blank(), Ok),
        }
    }

    /// The first cookie of the app's name that opens. Flask looks at the first alone.
    fn first(&self, header: &str) -> Option<CookieSession> {
        let name = self.cookie.attributes().name.as_str();
        let read = |text| match self.read(text, self.app.lifetimes.idle_timeout) {
            Ok(session) => Some(session),
            Err(why) => {
                self.stats.rejected_cookie(&self.app.name, why);
                None
            }
        };
        cookie::values(header, name).filter(|text| !text.is_empty()).find_map(read)
    }

    fn read(&self, text: &str, max_age: Duration) -> Result<CookieSession, flask::CookieRejection> {
        let flask::VerifiedCookie { entries, permanent, issued, .. } = self.signer.verify(text, max_age, self.now)?;
        Ok(CookieSession { token: text.to_owned(), entries, permanent, issued })
    }

    /// A session that holds nothing.
    fn blank(&self) -> Result<CookieSession, Error> {
        self.signed(Entries::default(), None)
    }

    /// A session, signed now.
    fn signed(&self, entries: Entries, permanent: Option<bool>) -> Result<CookieSession, Error> {
        let token = self.signer.sign(&entries, permanent, self.now)?;
        Ok(CookieSession { token, entries, permanent, issued: self.now })
    }

    /// What a caller gets to see: a session without id, for nobody could find it by one.
    fn view(&self, session: CookieSession) -> SessionView {
        let idle_timeout = self.app.lifetimes.idle_timeout;
        SessionView {
            id: None,
            version: if session.is_new() { Version::NEW } else { Version::NEW.next() },
            token: session.token,
            entries: session.entries,
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

    /// The header that sets a session's cookie.
    fn set_cookie(&self, session: &CookieSession) -> Result<Header, cookie::TemplateError> {
        let time = session.issued + self.app.lifetimes.idle_timeout;
        let is_permanent = session.permanent == Some(true);
        let expiry = if is_permanent { Expiry::At { time, now: self.now } } else { Expiry::WithBrowser };
        self.cookie.set(&session.token, expiry).map(Header::set_cookie)
    }

    /// A session that nobody changed, signed again if its expiry moves on, and the header for that.
    fn refreshed(&self, session: CookieSession) -> (CookieSession, Option<Header>) {
        if !self.app.should_set_cookie(false, session.permanent == Some(true)) {
            return (session, None);
        }
        let again = self.signed(session.entries.clone(), session.permanent);
        match again.and_then(|again| Ok((self.set_cookie(&again).map_err(Error::Cookie)?, again))) {
            Ok((header, again)) => (again, Some(header)),
            // Another zlib may have had room for it. The browser keeps what it has; nobody has changed anything.
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, app = %self.app.name, "a cookie is not signed again");
                (session, None)
            }
        }
    }
}

/// How much later than at an open a session's token still counts at the save that ends the same request.
const REQUEST_TIME: Duration = Duration::from_secs(15 * 60);
