//! Why the server rejects a call without an answer from its service, and the response to such a call.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Response};
use tonic::Status;
use tonic::body::Body;

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
    /// The call took longer than the caller or the settings allow.
    #[error("no answer within {}; whether a write was done is unknown", duration::text(*.0))]
    TimeoutExceeded(Duration),
    /// The request was not whole in time, so the service did not see it.
    #[error("the request was not whole within {}; nothing was done", duration::text(*.0))]
    RequestUnfinished(Duration),
    /// The service panicked.
    #[error("an error inside the service; its log says more")]
    Panicked,
    /// The text states the size and the limit.
    #[error("{0}")]
    RequestTooLarge(String),
    /// The message cannot be decoded; the text says why.
    #[error("{0}")]
    RequestMalformed(String),
    #[error("this address does not serve that service")]
    ServiceUnknown,
    #[error(transparent)]
    Unauthorized(#[from] auth::Error),
}

impl Rejection {
    /// Builds the whole response, which has headers only.
    pub fn into_response(self) -> Response<Body> {
        Status::from(self).into_http()
    }

    /// Builds the trailers of a response whose headers have been sent.
    pub fn into_trailers(self) -> HeaderMap {
        let mut trailers = self.into_response().into_parts().0.headers;
        trailers.remove(http::header::CONTENT_TYPE);
        trailers
    }
}

/// The header or trailer that ends a call. A constant, because each call looks it up four times and a name as text
/// would be parsed each time.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
