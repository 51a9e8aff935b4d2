//! What a caller gets to see of a session, and the headers that go with it.

use std::time::Duration;

use super::{AppCall, Error};
use crate::cookie::{self, Expiry};
use crate::session::{EndReason, Entries, Head, Subject, Version};
use crate::token::{SessionId, SplitToken, sign_ticket, sign_token};
use crate::types::Time;

/// A session as a caller sees it.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Its handle; a null session has none, nor has one that no store knows by any.
    pub id: Option<SessionId>,
    /// Its token or ticket; empty where none may be handed out.
    pub token: String,
    /// What it holds.
    pub entries: Entries,
    /// Flask's `_permanent`.
    pub permanent: Option<bool>,
    /// Its version; [`Version::NEW`] for one that nobody has saved. Without an id it is told to nobody.
    pub version: Version,
    /// Whose it is.
    pub subject: Option<Subject>,
    /// Its times; a null session has none.
    pub times: Option<SessionTimes>,
    /// Why it is a null session.
    pub null: Option<NullReason>,
}

/// The times of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionTimes {
    /// First save; a new session has none.
    pub create_time: Option<Time>,
    /// Last use.
    pub access_time: Time,
    /// When the subject was last set, or last authenticated again.
    pub authenticate_time: Option<Time>,
    /// When it ends unless it is used again.
    pub expire_time: Time,
    /// How long it lives without being used.
    pub idle_timeout: Duration,
}

impl SessionView {
    /// A null session.
    pub fn null(reason: NullReason) -> Self {
        Self {
            id: None,
            token: String::new(),
            entries: Entries::default(),
            permanent: None,
            version: Version::NEW,
            subject: None,
            times: None,
            null: Some(reason),
        }
    }
}

/// Why a session is a null session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullReason {
    /// The app has no key.
    NoKey,
    /// The request's cookies name two live sessions.
    CookiesAmbiguous,
    /// There is no reason: the app can have sessions.
    NotNeeded,
}

impl NullReason {
    /// The reason for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "NO_KEY",
            Self::CookiesAmbiguous => "COOKIES_AMBIGUOUS",
            Self::NotNeeded => "NONE",
        }
    }

    /// The reason for people: what to change.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoKey => {
                "The session is unavailable because the app has no signing key. Make one with `cloakroom keygen` and \
                 set it as `keys` in the app's table of Cloakroom's configuration."
            }
            Self::CookiesAmbiguous => {
                "The request's cookies name two live sessions, so one of them may have been planted. If the cookie's \
                 path or domain was changed, rename the cookie as well."
            }
            Self::NotNeeded => "The app can have sessions; this null session stands in for none of them.",
        }
    }
}

/// What became of a session by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to write.
    Unchanged,
    /// It is stored for the first time.
    Created,
    /// The changes are stored.
    Updated,
    /// This call ended it.
    Deleted(EndReason),
    /// It had ended before. Without a reason: too long ago to know.
    Gone(Option<EndReason>),
}

/// One response header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

impl Header {
    /// `Vary: Cookie`.
    pub fn vary() -> Self {
        Self { name: "Vary", value: "Cookie".to_owned() }
    }

    /// What a response that deletes the cookie carries.
    pub(super) fn deleting(cookie: &cookie::Template) -> Vec<Self> {
        vec![Self::set_cookie(cookie.delete()), Self::vary()]
    }

    pub(super) fn set_cookie(value: String) -> Self {
        Self { name: "Set-Cookie", value }
    }
}

/// What a response has to do with the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieAction {
    /// Leave it as the browser has it.
    Keep,
    /// Set it.
    Set,
}

impl AppCall<'_> {
    /// A session that no store knows, with a ticket.
    pub(super) fn new_view(&self, token: SplitToken) -> SessionView {
        let lifetimes = self.app.anonymous_lifetimes;
        SessionView {
            id: Some(token.id(&self.app.name)),
            token: sign_ticket(self.keys, &self.app.name, token, self.now),
            entries: Entries::default(),
            permanent: None,
            version: Version::NEW,
            subject: None,
            times: Some(SessionTimes {
                create_time: None,
                access_time: self.now,
                authenticate_time: None,
                expire_time: self.now + lifetimes.idle_timeout.min(lifetimes.absolute_timeout),
                idle_timeout: lifetimes.idle_timeout,
            }),
            null: None,
        }
    }

    /// A session that is used now, without its entries. Without a bearer its token stays untold.
    pub(super) fn view(&self, id: SessionId, head: &Head, token: Option<SplitToken>) -> SessionView {
        SessionView {
            id: Some(id),
            token: token.map(|token| sign_token(self.keys, &self.app.name, token)).unwrap_or_default(),
            entries: Entries::default(),
            permanent: head.permanent,
            version: head.version,
            subject: head.subject.clone(),
            times: Some(SessionTimes {
                create_time: Some(head.create_time),
                access_time: head.access_time.max(self.now),
                authenticate_time: head.authenticate_time,
                expire_time: head.expire_time(self.now),
                idle_timeout: head.idle_timeout,
            }),
            null: None,
        }
    }

    /// The headers of a response that carries the session, in order.
    pub(super) fn headers(
        &self,
        view: &SessionView,
        cookie_action: CookieAction,
        vary: bool,
    ) -> Result<Vec<Header>, Error> {
        let mut headers = Vec::with_capacity(2);
        if cookie_action == CookieAction::Set && !view.token.is_empty() {
            let expiry = match view.times {
                Some(times) if view.permanent == Some(true) => Expiry::At { time: times.expire_time, now: self.now },
                _ => Expiry::WithBrowser,
            };
            headers.push(Header::set_cookie(self.cookie.set(&view.token, expiry).map_err(Error::Cookie)?));
        }
        if vary || !headers.is_empty() {
            headers.push(Header::vary());
        }
        Ok(headers)
    }

    /// The headers of a response that deletes the cookie, and those of open doors that the request has.
    ///
    /// What they lead to opens nothing any more; the application from before may still take them.
    pub(super) fn deleting_headers_of(&self, header: &str) -> Vec<Header> {
        let mut headers = Header::deleting(&self.cookie);
        let sources = self.open_migration().into_iter().flat_map(|migration| {
            migration
                .sources()
                .filter_map(|source| migration.cookie_name(source))
                .filter(|name| **name != self.cookie.attributes().name)
        });
        let mut names = sources.map(cookie::Name::as_str).collect::<Vec<_>>();
        names.dedup();
        let shown = names.into_iter().filter(|name| cookie::values(header, name).next().is_some());
        let old = shown.filter_map(|name| Some(Header::set_cookie(self.cookie.named(name).ok()?.delete())));
        headers.splice(1..1, old.collect::<Vec<_>>());
        headers
    }
}
