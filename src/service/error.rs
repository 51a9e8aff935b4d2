//! Errors of the service, with texts that say what to change.

use std::num::NonZeroU32;

use super::view::NullReason;
use crate::audit;
use crate::cookie::{CookieChangesError, MAX_HEADER_BYTES, TemplateError};
use crate::flask;
use crate::session::{ChangesError, EditError, Limits};
use crate::store;
use crate::token::{MAX_KEY_BYTES, MIN_KEY_BYTES, TokenRejection};
use crate::types::{AppName, counted};

/// Why a call fails. Nothing was written, unless the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no app of that name is configured; `cloakroom check` lists them")]
    AppUnknown,
    /// The app cannot have sessions.
    #[error("{}", .0.message())]
    NullSession(NullReason),
    /// A write without a credential.
    #[error("set token to what OpenSession gave, or cookie_header to the request's Cookie header")]
    TokenMissing,
    #[error("token does not verify: {0}; open the session again")]
    TokenInvalid(TokenRejection),
    /// The key of an app of kind `external`, which may be missing.
    #[error(
        "key has {} and needs {MIN_KEY_BYTES} to {MAX_KEY_BYTES}; set it to the session id that the framework made, of at \
         least 128 random bits",
        counted(*.bytes, "byte", "bytes")
    )]
    KeyInvalid { bytes: usize },
    /// A credential of another kind of app.
    #[error(
        "{0}: the framework of this app makes the session ids, so set key instead; or set the app's kind = \"stored\""
    )]
    KeyNeeded(&'static str),
    /// A key, for an app of another kind.
    #[error(
        "key: this app's sessions are opened by cookies of the service, so set cookie_header or token instead; or set \
         the app's kind = \"external\""
    )]
    KeyNotAccepted,
    /// The field or the operation that needs tokens of the service.
    #[error(
        "{0}: the framework of this app makes the session ids and the cookie, and this is about the service's own; to \
         give a session another key, call DestroySession with the old one and SaveSession with the new one"
    )]
    NotInExternalKind(&'static str),
    /// The same for Flask's cookie, presented as a token.
    #[error("token does not verify: {0}; open the session again")]
    CookieInvalid(flask::CookieRejection),
    /// The field or the operation that needs a store.
    #[error(
        "{0}: the app keeps its sessions in the cookie itself, and this needs a store; do without it, or set the app's \
         kind = \"stored\""
    )]
    NotInCookieKind(&'static str),
    /// A value that Flask could not load, or a session that is too large to be read again.
    #[error("changes.set: {0}")]
    Sign(#[from] flask::SignError),
    /// The session of an app of kind `cookie` does not fit into its cookie.
    #[error(
        "name and value of the cookie would have {bytes} bytes, and browsers drop one over 4096; keep less in the \
         session, or set the app's kind = \"stored\", whose cookie has one size"
    )]
    CookieTooLarge { bytes: usize },
    #[error("cookie_header has {bytes} bytes; the limit is {MAX_HEADER_BYTES}")]
    CookieHeaderTooLarge { bytes: usize },
    /// The name or the attributes with which the request overrides the app's.
    #[error(transparent)]
    CookieChanges(#[from] CookieChangesError),
    /// A defect: a cookie of the app's settings cannot be written.
    #[error("the cookie cannot be written: {0}")]
    Cookie(#[source] TemplateError),
    /// The header of a write names two live sessions.
    #[error("{}", NullReason::CookiesAmbiguous.message())]
    CookiesAmbiguous,
    #[error(transparent)]
    Changes(#[from] ChangesError),
    #[error("changes.deadline_time is not in the future")]
    DeadlinePassed,
    /// Another save has changed the session.
    #[error("the session has another etag by now; open it again and decide anew")]
    EtagMismatch,
    #[error("this request_id was used for another call on this session; make a new one for each save")]
    RequestIdReused,
    /// The edit cannot be made.
    #[error("{}", explain(.edit_error, *.max))]
    Refused {
        edit_error: EditError,
        /// The limit, in entries or bytes; of no meaning if the edit exceeds none.
        max: u32,
    },
    #[error(
        "the audit log of this replica cannot be read, and its log says why; let the user of the service read the folder \
         that audit.folder names, and each session-ends file in it"
    )]
    AuditLogUnreadable(#[from] audit::ReadError),
    #[error("as many watchers as one replica takes watch this app's sessions; try another replica, or later")]
    TooManyWatchers,
    /// The feed does not go back to the cursor.
    #[error("events since this cursor are kept no longer, or it is not this app's; begin without one and list anew")]
    EventsMissed,
    #[error("the subject has {} already, which is the limit; end one first", counted(.max.get(), "session", "sessions"))]
    TooManySessions { max: NonZeroU32 },
    /// Logins of the same subjects wait for each other too long.
    #[error("too many logins of one subject are running; try again with a growing delay")]
    Busy,
    #[error("as many exports as one replica makes at once are running; try again when one has ended")]
    TooManyExports,
    #[error(
        "this replica has no previous store to move sessions from; set [store.previous] to where they are and [store] to \
         where they shall be, restart it, and call again"
    )]
    NoPreviousStore,
    #[error("the sessions are being moved by another call on this replica; wait until it has ended")]
    StoreMigrates,
    #[error(
        "all sessions of the app {0} were revoked since the export began, and a restore would bring them back; export \
         again"
    )]
    AppRevoked(AppName),
    #[error("no session of that id is kept; it may have ended more than 16 minutes ago")]
    SessionUnknown,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// The error of a refused edit, with the limit that it exceeds.
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
