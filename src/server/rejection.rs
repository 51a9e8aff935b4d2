//! What the server itself answers instead of the service.
//!
//! Each answer says what its caller should change, and carries a reason for its program.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::config::span;
use crate::grpc::callers::Role;
use crate::grpc::status::DOMAIN;

/// Why a call is not answered by its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
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
    /// Nobody knows who calls; the text says what to show.
    CallerUnknown(&'static str),
    /// The caller does not have the role that the call demands. None: no role allows it.
    RoleMissing(Option<Role>),
}

impl Rejection {
    /// The whole answer, in headers alone.
    pub(super) fn into_response(self) -> Response<Body> {
        self.into_status().into_http()
    }

    /// The end of an answer that has begun.
    pub(super) fn into_trailers(self) -> HeaderMap {
        let mut trailers = self.into_status().into_http::<Body>().into_parts().0.headers;
        trailers.remove(http::header::CONTENT_TYPE);
        trailers
    }

    /// The status of that answer.
    pub(super) fn into_status(self) -> Status {
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
            Self::MethodUnknown => (Code::Unimplemented, "METHOD_UNKNOWN"),
            Self::CallerUnknown(_) => (Code::Unauthenticated, "CALLER_UNKNOWN"),
            Self::RoleMissing(_) => (Code::PermissionDenied, "ROLE_MISSING"),
        }
    }

    fn message(self) -> String {
        match self {
            Self::Overloaded => "too many calls are running; try again with a growing delay".to_owned(),
            Self::BudgetSpent => "too many large requests are under way; try again with a growing delay".to_owned(),
            Self::TimeoutMalformed => "grpc-timeout has to be 1 to 8 digits and one of H, M, S, m, u, n".to_owned(),
            Self::TimeoutExceeded(limit) => {
                format!("no answer within {}; whether a write was done is unknown", span::text(limit))
            }
            Self::Panicked => "an error inside the service; its log says more".to_owned(),
            Self::RequestTooLarge(sizes) => sizes,
            Self::RequestMalformed(why) => why,
            Self::ServiceUnknown => "this address does not serve that service".to_owned(),
            Self::MethodUnknown => "the service has no such method; is the client newer than it?".to_owned(),
            Self::CallerUnknown(what) => what.to_owned(),
            Self::RoleMissing(Some(role)) => {
                format!("this caller does not have the role {}; add it to the caller's roles", role.as_str())
            }
            Self::RoleMissing(None) => "no role allows this call".to_owned(),
        }
    }
}

/// The answer to what is no gRPC at all.
pub(super) fn not_grpc(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// How a call ended. A header's name in text is read at every look, and every call is looked at four times.
pub(super) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
