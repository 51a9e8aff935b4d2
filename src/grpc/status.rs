//! The one map from errors to what the wire says: a code, a reason, and a message for a developer.

use std::error::Error as _;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::{error, warn};

use crate::service::Error;
use crate::session::{ChangesError, EditError};
use crate::store;
use crate::telemetry::LogThrottle;

/// The domain of every reason.
pub const DOMAIN: &str = "cloakroom";

/// Why a request is refused before it reaches the service.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A value without a kind, or JSON that is none.
    #[error("changes.set[{name:?}]: {why}")]
    Value {
        /// Whose.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A subject that is none.
    #[error("changes.subject: {0}")]
    Subject(#[from] crate::session::SubjectError),
    /// A lifetime that is none.
    #[error("changes.{0}: it has to be a valid and positive span or time")]
    Lifetime(&'static str),
    /// An age that is none.
    #[error("max_authenticate_age: it has to be a valid and positive span")]
    AuthenticateAge,
    /// An etag that is none.
    #[error("etag: it has to be one that this service gave out, or empty")]
    Etag,
    /// Too long a `request_id`.
    #[error("request_id has {0} bytes; the limit is 64")]
    RequestId(usize),
    /// Too long an address.
    #[error("context.remote_address has {0} bytes; the limit is 64")]
    Context(usize),
    /// An owner that is none.
    #[error("subject: {0}")]
    SubjectRef(#[source] crate::session::SubjectError),
    /// An id that is none.
    #[error("{0}: a session's id is 32 lower-case hexadecimal digits")]
    SessionId(&'static str),
    /// A page token that is none.
    #[error("page_token: it has to be the next_page_token of the same listing of the same app, or empty")]
    PageToken,
    /// A page size that is none.
    #[error("page_size: it is 1 to 1000, or 0 for 100")]
    PageSize,
}

impl From<RequestError> for Status {
    fn from(malformed: RequestError) -> Self {
        let reason = match malformed {
            RequestError::Value { .. } => "VALUE_INVALID",
            RequestError::Subject(_) | RequestError::SubjectRef(_) => "SUBJECT_INVALID",
            RequestError::Lifetime(_) => "LIFETIME_INVALID",
            RequestError::AuthenticateAge => "AUTHENTICATE_AGE_INVALID",
            RequestError::Etag => "ETAG_INVALID",
            RequestError::RequestId(_) => "REQUEST_ID_INVALID",
            RequestError::Context(_) => "CONTEXT_INVALID",
            RequestError::SessionId(_) => "SESSION_ID_INVALID",
            RequestError::PageToken => "PAGE_TOKEN_INVALID",
            RequestError::PageSize => "PAGE_SIZE_INVALID",
        };
        explain(Code::InvalidArgument, reason, malformed.to_string())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        log(&error);
        let (code, reason) = code_and_reason(&error);
        explain(code, reason, error.to_string())
    }
}

/// A status with its reason.
pub fn explain(code: Code, reason: &str, message: String) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    Status::with_error_details(code, message, details)
}

const fn code_and_reason(error: &Error) -> (Code, &'static str) {
    match error {
        Error::AppUnknown => (Code::NotFound, "APP_UNKNOWN"),
        Error::NullSession(_) => (Code::FailedPrecondition, "NULL_SESSION"),
        Error::TokenMissing => (Code::InvalidArgument, "TOKEN_MISSING"),
        Error::TokenInvalid(_) | Error::CookieInvalid(_) => (Code::InvalidArgument, "TOKEN_INVALID"),
        Error::NotInCookieKind(_) => (Code::FailedPrecondition, "NOT_IN_COOKIE_KIND"),
        Error::NotAnEntry(_) => (Code::InvalidArgument, "VALUE_INVALID"),
        Error::CookieTooLarge { .. } => (Code::FailedPrecondition, "SESSION_TOO_LARGE"),
        Error::CookieHeaderTooLarge { .. } => (Code::InvalidArgument, "COOKIE_HEADER_TOO_LARGE"),
        Error::CookieName(_) => (Code::InvalidArgument, "COOKIE_NAME_INVALID"),
        Error::CookiesAmbiguous => (Code::InvalidArgument, "COOKIES_AMBIGUOUS"),
        Error::Changes(changes) => (Code::InvalidArgument, changes_reason(changes)),
        Error::DeadlinePassed => (Code::InvalidArgument, "LIFETIME_INVALID"),
        Error::EtagMismatch => (Code::Aborted, "ETAG_MISMATCH"),
        Error::RequestIdReused => (Code::Aborted, "REQUEST_ID_REUSED"),
        Error::Refused { edit_error, .. } => (Code::FailedPrecondition, refusal_reason(edit_error)),
        Error::TooManyWatchers => (Code::ResourceExhausted, "OVERLOADED"),
        Error::EventsMissed => (Code::Aborted, "EVENTS_MISSED"),
        Error::TooManySessions { .. } => (Code::FailedPrecondition, "TOO_MANY_SESSIONS"),
        Error::Busy => (Code::ResourceExhausted, "OVERLOADED"),
        Error::SessionUnknown => (Code::NotFound, "SESSION_UNKNOWN"),
        Error::Store(store::Error::Unavailable(_)) => (Code::Unavailable, "STORE_UNAVAILABLE"),
        Error::Store(store::Error::Full(_)) => (Code::ResourceExhausted, "STORE_FULL"),
        Error::Store(store::Error::Corrupt) | Error::Cookie(_) => (Code::Internal, "INTERNAL"),
    }
}

const fn changes_reason(changes: &ChangesError) -> &'static str {
    match changes {
        ChangesError::TooMany { .. } => "TOO_MANY_CHANGES",
        ChangesError::Name { .. } => "ENTRY_NAME_INVALID",
        ChangesError::Repeated { .. } => "ENTRY_REPEATED",
        ChangesError::Permanent => "VALUE_INVALID",
        ChangesError::Subject(_) => "SUBJECT_INVALID",
    }
}

const fn refusal_reason(edit_error: &EditError) -> &'static str {
    match edit_error {
        EditError::TooManyEntries { .. } => "TOO_MANY_ENTRIES",
        EditError::TooLarge { .. } => "SESSION_TOO_LARGE",
        EditError::NotACounter { .. } => "NOT_A_COUNTER",
        EditError::NoSubject => "SUBJECT_MISSING",
    }
}

/// What broke is told to the log, once, here; the caller is told what to do.
///
/// An outage fails thousands of calls a second. A line a second tells of all of them, with the newest cause.
fn log(error: &Error) {
    static SILENT: LogThrottle = LogThrottle::new();
    static FULL: LogThrottle = LogThrottle::new();
    match error {
        Error::Store(store::Error::Unavailable(source)) => {
            if let Some(calls) = SILENT.count() {
                warn!(error = %source, calls, "the store does not answer");
            }
        }
        Error::Store(store::Error::Full(source)) => {
            if let Some(calls) = FULL.count() {
                error!(error = %source, calls, "the store is full");
            }
        }
        Error::Store(store::Error::Corrupt) | Error::Cookie(_) => {
            let cause = error.source().map(ToString::to_string);
            error!(%error, cause, "a call failed by a defect");
        }
        _ => {}
    }
}
