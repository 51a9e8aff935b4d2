//! What the server itself answers instead of the service.
//!
//! Each answer says what its caller should change, and carries a reason for its program.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::status::DOMAIN;
use crate::auth;

use crate::types::duration;

/// Why a call is not answered by its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Too many calls are running.
    Overloaded,
    /// Large requests take all that they may.
    BudgetSpent,
    /// `grpc-timeout` can't be read.
    TimeoutMalformed,
    /// It took longer than the caller or the settings allow.
    TimeoutExceeded(Duration),
    /// The service panicked.
    Panicked,
    /// The request is larger than the service takes; the text says how large both are.
    RequestTooLarge(String),
    /// The bytes are no request of that method; the text says why.
    RequestMalformed(String),
    /// There is no such service.
    ServiceUnknown,
    /// The service has no such method.
    MethodUnknown,
    /// The caller may not make the call.
    Unauthorized(auth::Error),
}

impl Rejection {
    /// The whole answer, in headers alone.
    pub fn into_response(self) -> Response<Body> {
        self.into_status().into_http()
    }

    /// The end of an answer that has begun.
    pub fn into_trailers(self) -> HeaderMap {
        let mut trailers = self.into_status().into_http::<Body>().into_parts().0.headers;
        trailers.remove(http::header::CONTENT_TYPE);
        trailers
    }

    /// The status of that answer.
    pub fn into_status(self) -> Status {
        let (code, reason) = self.code();
        let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        Status::with_error_details(code, self.message(), details)
    }

    fn code(&self) -> (Code, &'static str) {
        match self {
            Self::Overloaded | Self::BudgetSpent => (Code::ResourceExhausted, "OVERLOADED"),
            Self::TimeoutMalformed => (Code::InvalidArgument, "GRPC_TIMEOUT_INVALID"),
            Self::TimeoutExceeded(_) => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            Self::Panicked => (Code::Internal, "INTERNAL"),
            Self::RequestTooLarge(_) => (Code::ResourceExhausted, "REQUEST_TOO_LARGE"),
            Self::RequestMalformed(_) => (Code::InvalidArgument, "REQUEST_MALFORMED"),
            Self::ServiceUnknown => (Code::Unimplemented, "SERVICE_UNKNOWN"),
            Self::MethodUnknown => unauthorized(auth::Error::MethodUnknown),
            Self::Unauthorized(error) => unauthorized(*error),
        }
    }

    fn message(self) -> String {
        match self {
            Self::Overloaded => "too many calls are running; try again with a growing delay".to_owned(),
            Self::BudgetSpent => "too many large requests are under way; try again with a growing delay".to_owned(),
            Self::TimeoutMalformed => "grpc-timeout has to be 1 to 8 digits and one of H, M, S, m, u, n".to_owned(),
            Self::TimeoutExceeded(limit) => {
                format!("no answer within {}; whether a write was done is unknown", duration::text(limit))
            }
            Self::Panicked => "an error inside the service; its log says more".to_owned(),
            Self::RequestTooLarge(sizes) => sizes,
            Self::RequestMalformed(why) => why,
            Self::ServiceUnknown => "this address does not serve that service".to_owned(),
            Self::MethodUnknown => METHOD_UNKNOWN.to_owned(),
            Self::Unauthorized(error) => unauthorized_message(error),
        }
    }
}

fn unauthorized(error: auth::Error) -> (Code, &'static str) {
    match error {
        auth::Error::CallerUnknown(_) => (Code::Unauthenticated, "CALLER_UNKNOWN"),
        auth::Error::RoleMissing(_) => (Code::PermissionDenied, "ROLE_MISSING"),
        auth::Error::MethodUnknown => (Code::Unimplemented, "METHOD_UNKNOWN"),
        auth::Error::AppNotAllowed => (Code::PermissionDenied, "APP_NOT_ALLOWED"),
    }
}

fn unauthorized_message(error: auth::Error) -> String {
    match error {
        auth::Error::CallerUnknown(what) => what.to_owned(),
        auth::Error::RoleMissing(Some(role)) => {
            format!("this caller does not have the role {}; add it to the caller's roles", role.as_str())
        }
        auth::Error::RoleMissing(None) => "no role allows this call".to_owned(),
        auth::Error::MethodUnknown => METHOD_UNKNOWN.to_owned(),
        auth::Error::AppNotAllowed => {
            "this caller may not use that app; name it in the caller's apps, or use another one".to_owned()
        }
    }
}

impl From<auth::Error> for Status {
    fn from(error: auth::Error) -> Self {
        Rejection::Unauthorized(error).into_status()
    }
}

const METHOD_UNKNOWN: &str = "the service has no such method; is the client newer than it?";

/// The answer to what is no gRPC at all.
pub fn not_grpc(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// How a call ended. A header's name in text is read at every look, and every call is looked at four times.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
