//! Why the server rejects a call without an answer from its service, and the response to such a call.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::auth;
use crate::types::duration;

/// Why the server answers a call instead of the call's service. The message says what the caller should change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("too many calls are running; try again with a growing delay")]
    Overloaded,
    /// The calls of one address, or of one caller, are at their share of the limit.
    #[error("too many calls of this address or this caller are running; try again with a growing delay")]
    ShareExhausted,
    #[error("too many large requests are under way; try again with a growing delay")]
    BudgetExhausted,
    /// `grpc-timeout` is malformed.
    #[error("grpc-timeout has to be 1 to 8 digits and one of H, M, S, m, u, n")]
    TimeoutMalformed,
    /// `connect-timeout-ms` is malformed.
    #[error("connect-timeout-ms has to be 1 to 10 digits")]
    ConnectTimeoutMalformed,
    #[error("connect-protocol-version has to be 1, or absent")]
    ConnectVersionUnsupported,
    #[error("compression is not supported; send the message as it is")]
    CompressionUnsupported,
    /// The content type names no protocol that is served for this RPC. The text says which ones do.
    #[error("{0}")]
    ContentTypeUnsupported(&'static str),
    #[error("calls are POST requests to /package.Service/Method")]
    HttpMethodUnsupported,
    #[error("gRPC needs HTTP/2; by HTTP/1.1 send content-type: application/json or application/proto")]
    HttpVersionUnsupported,
    /// A page in a browser made the request. Pages may reach no listener.
    #[error("requests of web pages are refused; call from a server, without the headers origin and sec-fetch-site")]
    BrowserRefused,
    /// A page could have made a host name point to loopback.
    #[error(
        "nobody is asked who calls here, so the host has to be a loopback address or localhost; use one of them, or say \
         in [callers] who may call"
    )]
    HostRefused,
    /// A page could have asked by forward authentication, because browsers would not have said so.
    #[error(
        "nobody is asked who calls here, and browsers do not say without TLS that a web page asks; say in [callers] who \
         may ask, or configure [server.tls]"
    )]
    CheckRequestRefused,
    /// The call took longer than the caller or the settings allow.
    #[error("no answer within {}; whether a write was done is unknown", duration::text(*.0))]
    TimeoutExceeded(Duration),
    /// The request was not whole in time, so the service did not see it.
    #[error("the request was not whole within {}; nothing was done", duration::text(*.0))]
    RequestUnfinished(Duration),
    /// The stream ends with its connection.
    #[error("this connection ends, because it is old or the service stops; go on on another one")]
    GoingAway,
    /// The service panicked.
    #[error("an error inside the service; its log says more")]
    Panicked,
    /// The text states the size and the limit.
    #[error("{0}")]
    RequestTooLarge(String),
    /// The message cannot be decoded; the text says why.
    #[error("{0}")]
    RequestMalformed(String),
    /// The text says where the service is, if that is known.
    #[error("{0}")]
    ServiceUnknown(&'static str),
    #[error(transparent)]
    Unauthorized(#[from] auth::Error),
}

impl Rejection {
    /// Returns the documented rejection for a response that tonic created without calling the service.
    ///
    /// tonic's own responses have neither this service's codes nor its reasons. Responses of the service have details.
    pub fn of_tonic(headers: &HeaderMap) -> Option<Self> {
        // Most responses have their status in the trailers.
        headers.get(&GRPC_STATUS)?;
        if headers.contains_key(&GRPC_STATUS_DETAILS) {
            return None;
        }
        let status = Status::from_header_map(headers)?;
        match status.code() {
            Code::OutOfRange => Some(Self::RequestTooLarge(status.message().to_owned())),
            Code::Internal => Some(Self::RequestMalformed(status.message().to_owned())),
            Code::Unimplemented if status.message().is_empty() => Some(auth::Error::MethodUnknown.into()),
            _ => None,
        }
    }

    /// Builds the whole response, which has headers only.
    pub fn into_response(self) -> Response<Body> {
        Status::from(self).into_http()
    }

    /// Returns the HTTP status of the response, if it says more than the one of the code.
    pub const fn http_status(&self) -> Option<StatusCode> {
        match self {
            Self::ContentTypeUnsupported(_) => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::HttpMethodUnsupported => Some(StatusCode::METHOD_NOT_ALLOWED),
            Self::HttpVersionUnsupported => Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            // Also for streams, whose errors have status 200: a page gets nothing that looks like an answer.
            Self::BrowserRefused => Some(StatusCode::FORBIDDEN),
            Self::HostRefused => Some(StatusCode::MISDIRECTED_REQUEST),
            _ => None,
        }
    }

    /// Builds the trailers of a response whose headers have been sent.
    pub fn into_trailers(self) -> HeaderMap {
        let mut trailers = self.into_response().into_parts().0.headers;
        trailers.remove(http::header::CONTENT_TYPE);
        trailers
    }
}

static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The header or trailer that ends a call. A constant, because each call looks it up four times and a name as text
/// would be parsed each time.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
