//! Why the service does not do what it is asked.

use std::num::NonZeroU32;

use super::view::NullReason;
use crate::cookie::{MAX_HEADER_BYTES, TemplateError};
use crate::flask;
use crate::session::{ChangesError, EditError, Limits};
use crate::store;
use crate::token::TokenRejection;

/// Why a call fails. After each of them, the store's own failures aside, nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No app of that name.
    #[error("no app of that name is configured; `cloakroom check` lists them")]
    AppUnknown,
    /// The app cannot have sessions.
    #[error("{}", .0.message())]
    NullSession(NullReason),
    /// A write without a credential.
    #[error("set token to what OpenSession gave, or cookie_header to the request's Cookie header")]
    TokenMissing,
    /// The token does not verify.
    #[error("token does not verify: {0}; open the session again")]
    TokenInvalid(TokenRejection),
    /// Flask's cookie, shown as a token, does not open.
    #[error("token does not verify: {0}; open the session again")]
    CookieInvalid(flask::CookieRejection),
    /// Only a store can do that.
    #[error(
        "{0}: the app keeps its sessions in the cookie itself, and this needs a store; do without it, or set the app's \
         kind = \"stored\""
    )]
    NotInCookieKind(&'static str),
    /// A value that Flask could not load.
    #[error("changes.set: {0}")]
    NotAnEntry(#[from] flask::NotAnEntry),
    /// What the session would hold has no room in a cookie.
    #[error(
        "name and value of the cookie would have {bytes} bytes, and browsers drop one over 4096; keep less in the \
         session, or set the app's kind = \"stored\", whose cookie has one size"
    )]
    CookieTooLarge {
        /// How many it would have.
        bytes: usize,
    },
    /// The header is longer than anything that is looked at.
    #[error("cookie_header has {bytes} bytes; the limit is {MAX_HEADER_BYTES}")]
    CookieHeaderTooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// The name that the request gives to the cookie.
    #[error("cookie_name: {0}")]
    CookieName(#[source] TemplateError),
    /// The cookie cannot be written.
    #[error("the cookie cannot be written: {0}")]
    Cookie(#[source] TemplateError),
    /// The header names two live sessions.
    #[error("{}", NullReason::CookiesAmbiguous.message())]
    CookiesAmbiguous,
    /// The changes make no sense.
    #[error(transparent)]
    Changes(#[from] ChangesError),
    /// The lifetime that is asked for is over already.
    #[error("changes.deadline_time is not in the future")]
    DeadlinePassed,
    /// Somebody has saved since.
    #[error("the session has another etag by now; open it again and decide anew")]
    EtagMismatch,
    /// The `request_id` stands for another call.
    #[error("this request_id stands for another call on this session; make a new one for each save")]
    RequestIdReused,
    /// The session can't be made to be so.
    #[error("{}", explain(.edit_error, *.max))]
    Refused {
        /// Why.
        edit_error: EditError,
        /// The limit that it is over, if it is.
        max: u32,
    },
    /// As many watch as the service takes.
    #[error("as many watchers as one replica takes watch this app's sessions; try another replica, or later")]
    TooManyWatchers,
    /// What happened since the cursor is not known any more.
    #[error("events since this cursor are kept no longer, or it is not this app's; begin without one and list anew")]
    EventsMissed,
    /// The subject has as many sessions as it may.
    #[error("the subject has {max} sessions already, which is the limit; end one of them first")]
    TooManySessions {
        /// How many it may have.
        max: NonZeroU32,
    },
    /// Too many logins of the same subjects wait for each other.
    #[error("too many logins of one subject are running; try again with a growing delay")]
    Busy,
    /// No session of that id is kept.
    #[error("no session of that id is kept; it may have ended more than 16 minutes ago")]
    SessionUnknown,
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// What was refused, with the limit that it is over, if it is.
    pub(super) const fn refused(edit_error: EditError, limits: Limits) -> Self {
        let max = match edit_error {
            EditError::TooManyEntries { .. } => limits.max_entries,
            EditError::TooLarge { .. } | EditError::NotACounter { .. } | EditError::NoSubject => limits.max_bytes,
        };
        Self::Refused { edit_error, max }
    }
}

fn explain(edit_error: &EditError, max: u32) -> String {
    match edit_error {
        EditError::NoSubject => {
            "changes.authenticated needs a session with a subject; set changes.subject too".to_owned()
        }
        EditError::TooManyEntries { count } => format!("the session would have {count} entries; the limit is {max}"),
        EditError::TooLarge { bytes } => {
            format!("names and values of the session would have {bytes} bytes; the limit is {max}")
        }
        EditError::NotACounter { name } => {
            format!("`{name}` is no decimal int64 in JSON, or would leave its range; set it to a number first")
        }
    }
}
