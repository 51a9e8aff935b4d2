//! The only place where errors become a [`Status`]: a code, a reason for programs, and a message for developers.

use std::error::Error as StdError;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::{error, warn};

use super::Rejection;
use super::request_error::RequestError;
use crate::cookie::CookieChangesError;
use crate::flask::SignError;
use crate::service::Error;
use crate::session::{ChangesError, EditError};
use crate::telemetry::LogThrottle;
use crate::{auth, store};

/// Creates a status with a reason in its `google.rpc.ErrorInfo`.
///
/// A message that is too long is cut: gRPC sends it in headers, which clients refuse if they are large, and then all calls of
/// the connection fail.
pub fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let mut message = message.into();
    if message.len() > MAX_MESSAGE_BYTES {
        let bytes = message.len();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push_str(&format!("... (the message has {bytes} bytes)"));
    }
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, []))
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        log(&error);
        let (code, reason) = service_error(&error);
        status(code, reason, error.to_string())
    }
}

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        status(Code::InvalidArgument, request_error(&error), error.to_string())
    }
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let (code, reason) = self::rejection(&rejection);
        status(code, reason, rejection.to_string())
    }
}

impl From<auth::Error> for Status {
    fn from(error: auth::Error) -> Self {
        let (code, reason) = auth_error(error);
        status(code, reason, error.to_string())
    }
}

fn service_error(error: &Error) -> (Code, &'static str) {
    match error {
        Error::AppUnknown => (Code::NotFound, "APP_UNKNOWN"),
        Error::NullSession(_) => (Code::FailedPrecondition, "NULL_SESSION"),
        Error::TokenMissing => (Code::InvalidArgument, "TOKEN_MISSING"),
        Error::TokenInvalid(_) | Error::CookieInvalid(_) => (Code::InvalidArgument, "TOKEN_INVALID"),
        Error::KeyInvalid { .. } => (Code::InvalidArgument, "KEY_INVALID"),
        Error::KeyNeeded(_) | Error::KeyNotAccepted => (Code::FailedPrecondition, "CREDENTIAL_NOT_OF_KIND"),
        Error::NotInExternalKind(_) => (Code::FailedPrecondition, "NOT_IN_EXTERNAL_KIND"),
        Error::NotInCookieKind(_) => (Code::FailedPrecondition, "NOT_IN_COOKIE_KIND"),
        Error::Sign(SignError::NotAnEntry(_)) => (Code::InvalidArgument, "VALUE_INVALID"),
        Error::Sign(SignError::TooLarge { .. }) | Error::CookieTooLarge { .. } => {
            (Code::FailedPrecondition, "SESSION_TOO_LARGE")
        }
        Error::CookieHeaderTooLarge { .. } => (Code::InvalidArgument, "COOKIE_HEADER_TOO_LARGE"),
        Error::CookieChanges(CookieChangesError::Name(_)) => (Code::InvalidArgument, "COOKIE_NAME_INVALID"),
        Error::CookieChanges(CookieChangesError::Attributes(_)) => (Code::InvalidArgument, "COOKIE_ATTRIBUTES_INVALID"),
        Error::CookiesAmbiguous => (Code::InvalidArgument, "COOKIES_AMBIGUOUS"),
        Error::Changes(error) => (Code::InvalidArgument, changes_error(error)),
        Error::DeadlinePassed => (Code::InvalidArgument, "LIFETIME_INVALID"),
        Error::EtagMismatch => (Code::Aborted, "ETAG_MISMATCH"),
        Error::RequestIdReused => (Code::Aborted, "REQUEST_ID_REUSED"),
        Error::Refused { edit_error: error, .. } => (Code::FailedPrecondition, edit_error(error)),
        Error::NoPreviousStore => (Code::FailedPrecondition, "NO_PREVIOUS_STORE"),
        Error::TooManyWatchers | Error::TooManyExports | Error::StoreMigrates => {
            (Code::ResourceExhausted, "OVERLOADED")
        }
        Error::AppRevoked(_) => (Code::Aborted, "APP_REVOKED"),
        Error::EventsMissed => (Code::Aborted, "EVENTS_MISSED"),
        Error::AuditLogUnreadable(_) => (Code::FailedPrecondition, "AUDIT_LOG_UNREADABLE"),
        Error::TooManySessions { .. } => (Code::FailedPrecondition, "TOO_MANY_SESSIONS"),
        Error::Busy => (Code::ResourceExhausted, "OVERLOADED"),
        Error::SessionUnknown => (Code::NotFound, "SESSION_UNKNOWN"),
        Error::Store(error) => store_error(error),
        Error::Cookie(_) => (Code::Internal, "INTERNAL"),
    }
}

fn store_error(error: &store::Error) -> (Code, &'static str) {
    match error {
        store::Error::Unavailable(_) | store::Error::Refused(_) => (Code::Unavailable, "STORE_UNAVAILABLE"),
        store::Error::Full(_) => (Code::ResourceExhausted, "STORE_FULL"),
        store::Error::RevokedInPart { cause, .. } | store::Error::NotAcknowledged { cause, .. } => store_error(cause),
        store::Error::Corrupt => (Code::Internal, "INTERNAL"),
    }
}

const fn changes_error(error: &ChangesError) -> &'static str {
    match error {
        ChangesError::TooMany { .. } => "TOO_MANY_CHANGES",
        ChangesError::Name { .. } => "ENTRY_NAME_INVALID",
        ChangesError::Repeated { .. } => "ENTRY_REPEATED",
        ChangesError::Permanent => "VALUE_INVALID",
        ChangesError::Subject(_) => "SUBJECT_INVALID",
    }
}

const fn edit_error(error: &EditError) -> &'static str {
    match error {
        EditError::TooManyEntries { .. } => "TOO_MANY_ENTRIES",
        EditError::TooLarge { .. } => "SESSION_TOO_LARGE",
        EditError::NotACounter { .. } => "NOT_A_COUNTER",
        EditError::NoSubject => "SUBJECT_MISSING",
    }
}

const fn request_error(error: &RequestError) -> &'static str {
    match error {
        RequestError::Value { .. } => "VALUE_INVALID",
        RequestError::ChangedSubject(_) | RequestError::Subject(_) => "SUBJECT_INVALID",
        RequestError::IdleTimeout | RequestError::DeadlineTime => "LIFETIME_INVALID",
        RequestError::AuthenticateAge => "AUTHENTICATE_AGE_INVALID",
        RequestError::RequestAge => "REQUEST_AGE_INVALID",
        RequestError::SameSite => "COOKIE_ATTRIBUTES_INVALID",
        RequestError::Etag => "ETAG_INVALID",
        RequestError::RequestId(_) => "REQUEST_ID_INVALID",
        RequestError::SessionId(_) => "SESSION_ID_INVALID",
        RequestError::PageToken => "PAGE_TOKEN_INVALID",
        RequestError::PageSize => "PAGE_SIZE_INVALID",
    }
}

const fn rejection(rejection: &Rejection) -> (Code, &'static str) {
    match rejection {
        Rejection::Overloaded | Rejection::ShareExhausted | Rejection::BudgetExhausted => {
            (Code::ResourceExhausted, "OVERLOADED")
        }
        Rejection::TimeoutMalformed => (Code::InvalidArgument, "GRPC_TIMEOUT_INVALID"),
        Rejection::ConnectTimeoutMalformed => (Code::InvalidArgument, "CONNECT_TIMEOUT_INVALID"),
        Rejection::ConnectVersionUnsupported => (Code::InvalidArgument, "CONNECT_VERSION_UNSUPPORTED"),
        Rejection::CompressionUnsupported => (Code::Unimplemented, "COMPRESSION_UNSUPPORTED"),
        Rejection::ContentTypeUnsupported(_) => (Code::InvalidArgument, "CONTENT_TYPE_UNSUPPORTED"),
        Rejection::HttpMethodUnsupported => (Code::InvalidArgument, "HTTP_METHOD_UNSUPPORTED"),
        Rejection::HttpVersionUnsupported => (Code::InvalidArgument, "HTTP_VERSION_UNSUPPORTED"),
        Rejection::BrowserRefused | Rejection::CheckRequestRefused => (Code::PermissionDenied, "BROWSER_REFUSED"),
        Rejection::HostRefused => (Code::PermissionDenied, "HOST_REFUSED"),
        Rejection::TimeoutExceeded(_) | Rejection::RequestUnfinished(_) => {
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
        }
        Rejection::GoingAway => (Code::Unavailable, "GOING_AWAY"),
        Rejection::Panicked => (Code::Internal, "INTERNAL"),
        Rejection::RequestTooLarge(_) => (Code::ResourceExhausted, "REQUEST_TOO_LARGE"),
        Rejection::RequestMalformed(_) => (Code::InvalidArgument, "REQUEST_MALFORMED"),
        Rejection::ServiceUnknown(_) => (Code::Unimplemented, "SERVICE_UNKNOWN"),
        Rejection::Unauthorized(error) => auth_error(*error),
    }
}

const fn auth_error(error: auth::Error) -> (Code, &'static str) {
    match error {
        auth::Error::CallerUnknown(_) => (Code::Unauthenticated, "CALLER_UNKNOWN"),
        auth::Error::RoleMissing(_) => (Code::PermissionDenied, "ROLE_MISSING"),
        auth::Error::MethodUnknown => (Code::Unimplemented, "METHOD_UNKNOWN"),
        auth::Error::AppNotAllowed => (Code::PermissionDenied, "APP_NOT_ALLOWED"),
    }
}

/// Logs what the operator has to know, once, here; the caller gets what to change.
///
/// An outage fails thousands of calls a second. It is logged once a second, with the newest cause and the number of
/// calls.
fn log(error: &Error) {
    match error {
        Error::Store(error) => log_store(error),
        Error::AuditLogUnreadable(source) => {
            warn!(error = source as &dyn StdError, "the audit log cannot be read");
        }
        Error::Cookie(_) => {
            error!(error = error as &dyn StdError, "a call failed by a defect");
        }
        _ => {}
    }
}

fn log_store(error: &store::Error) {
    static UNAVAILABLE: LogThrottle = LogThrottle::new();
    static FULL: LogThrottle = LogThrottle::new();
    static DAMAGED: LogThrottle = LogThrottle::new();
    static IN_PART: LogThrottle = LogThrottle::new();
    match error {
        store::Error::Unavailable(source) | store::Error::Refused(source) => {
            if let Some(calls) = UNAVAILABLE.count() {
                warn!(error = &**source as &dyn StdError, calls, "the store does not work");
            }
        }
        store::Error::Full(source) => {
            if let Some(calls) = FULL.count() {
                error!(error = &**source as &dyn StdError, calls, "the store is full");
            }
        }
        store::Error::RevokedInPart { cause, .. } => {
            if let Some(calls) = IN_PART.count() {
                warn!(error = error as &dyn StdError, calls, "a revocation has not reached the whole app");
            }
            log_store(cause);
        }
        store::Error::NotAcknowledged { cause, .. } => log_store(cause),
        store::Error::Corrupt => {
            if let Some(calls) = DAMAGED.count() {
                error!(error = error as &dyn StdError, calls, "something in the store is damaged");
            }
        }
    }
}

/// It is sent twice, at up to three times its length. Some clients take 8 KiB of headers.
const MAX_MESSAGE_BYTES: usize = 1024;

/// The domain of every reason.
const DOMAIN: &str = "cloakroom";
