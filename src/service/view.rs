//! Views: a session as a caller sees it.

use std::time::Duration;

use super::AppCall;
use crate::session::{Head, Subject, Version};
use crate::token::{CookieNote, SessionId, SplitToken, sign_noted_ticket, sign_noted_token};
use crate::types::Time;

/// A session as a caller sees it, without its entries.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// `None` for a null session, and in an app of kind `cookie`.
    pub id: Option<SessionId>,
    /// The token, or the ticket of a new session; empty if this caller may not get it, and for a null session.
    pub token: String,
    /// Flask's `_permanent`; `None`: it is not set.
    pub permanent: Option<bool>,
    /// [`Version::NEW`] for a session that was never saved. A caller gets an etag of it only if there is an id.
    pub version: Version,
    /// `None`: the session is anonymous.
    pub subject: Option<Subject>,
    /// `None` for a null session.
    pub times: Option<SessionTimes>,
    /// Why this is a null session; `None`: it is none.
    pub null: Option<NullReason>,
}

/// The times of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionTimes {
    /// The time of the first save; `None` for a new session, and in an app of kind `cookie`.
    pub create_time: Option<Time>,
    /// The time of the last use, which is this call if it is one.
    pub access_time: Time,
    /// The time when the subject was last set, or last authenticated again; `None`: not known, or no subject.
    pub authenticate_time: Option<Time>,
    /// The time when the session ends unless it is used again.
    pub expire_time: Time,
    /// How long the session lives without being used.
    pub idle_timeout: Duration,
}

impl SessionView {
    /// A null session: it can be read, as empty, and not be saved.
    pub fn null(reason: NullReason) -> Self {
        Self {
            id: None,
            token: String::new(),
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
    /// The app has no signing key.
    NoKey,
    /// The request's cookies name two live sessions.
    CookiesAmbiguous,
    /// The session of the request's key has ended.
    Gone,
    /// The app can have sessions; the frontend asked for a null session all the same.
    NotNeeded,
}

impl NullReason {
    /// The reason as a word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "NO_KEY",
            Self::CookiesAmbiguous => "COOKIES_AMBIGUOUS",
            Self::Gone => "GONE",
            Self::NotNeeded => "NONE",
        }
    }

    /// The reason as a sentence that says what to change.
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
            Self::Gone => {
                "The session of this key has ended, and nothing revives it. Let the framework make another key, which \
                 begins a new session."
            }
            Self::NotNeeded => "The app has keys, so its sessions are usable; the frontend asked for a null session.",
        }
    }
}

impl AppCall<'_> {
    /// Signs a token and a note. Returns an empty text in an app of kind `external`, which has none.
    pub(super) fn sign(&self, token: SplitToken, note: CookieNote) -> String {
        self.keys().map(|keys| sign_noted_token(keys, &self.app.name, token, note)).unwrap_or_default()
    }

    /// Returns a new session, which no store knows, with a ticket if the app has tokens.
    pub(super) fn new_view(&self, token: SplitToken, note: CookieNote) -> SessionView {
        let lifetimes = self.app.anonymous_lifetimes;
        let ticket = self.keys().map(|keys| sign_noted_ticket(keys, &self.app.name, token, note, self.now));
        SessionView {
            id: Some(token.id(&self.app.name)),
            token: ticket.unwrap_or_default(),
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

    /// Returns the session as last used at `used`.
    pub(super) fn view(&self, id: SessionId, head: &Head, token: String, used: Time) -> SessionView {
        SessionView {
            id: Some(id),
            token,
            permanent: head.permanent,
            version: head.version,
            subject: head.subject.clone(),
            times: Some(SessionTimes {
                create_time: Some(head.create_time),
                access_time: head.access_time.max(used),
                authenticate_time: head.authenticate_time,
                expire_time: head.expire_time(used),
                idle_timeout: head.idle_timeout,
            }),
            null: None,
        }
    }
}
