//! Why a message cannot be converted to a request of the service layer.

use crate::session::SubjectError;

/// A field that is invalid, and what would be valid.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("changes.set[{name:?}]: {why}")]
    Value { name: String, why: String },
    #[error("changes.subject: {0}")]
    ChangedSubject(#[from] SubjectError),
    #[error("changes.idle_timeout: it has to be a valid span of at least a second")]
    IdleTimeout,
    #[error("changes.deadline_time: it has to be a valid time from 1970 to 9999")]
    DeadlineTime,
    #[error("max_authenticate_age: it has to be a valid and positive span")]
    AuthenticateAge,
    #[error("request_age: it has to be a valid span that is not negative")]
    RequestAge,
    #[error("cookie_attributes: samesite: it has to be Strict, Lax, None or empty")]
    SameSite,
    #[error("etag: it has to be one that this service gave out, or empty")]
    Etag,
    /// The length in bytes.
    #[error("request_id has {0} bytes; the limit is 64")]
    RequestId(usize),
    #[error("subject: {0}")]
    Subject(#[source] SubjectError),
    /// The name of the field.
    #[error("{0}: a session's id is 32 lower-case hexadecimal digits")]
    SessionId(&'static str),
    #[error("page_token: it has to be the next_page_token of the same listing of the same app, or empty")]
    PageToken,
    #[error("page_size: it is 1 to 1000, or 0 for 100")]
    PageSize,
}
