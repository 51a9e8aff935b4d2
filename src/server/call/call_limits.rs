//! The limits of a call: what it holds while it runs, how long it may take, and that a panic ends only itself.
//!
//! Also replaces tonic's own error responses by the documented rejections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Body as _;
use tokio::time;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::call_permit::CallPermit;
use super::timeout;
use crate::auth;
use crate::grpc::{GRPC_STATUS, Rejection};
use crate::server::connection::ConnectionContext;
use crate::server::{GrpcService, Settings};

/// The limits of all calls of one server.
#[derive(Debug)]
pub(in crate::server) struct CallLimits {
    timeout: Duration,
    /// For the request to be whole.
    pub(super) request_timeout: Duration,
}

impl CallLimits {
    pub(in crate::server) fn new(settings: &Settings) -> Self {
        Self { timeout: settings.call_timeout, request_timeout: settings.request_timeout }
    }

    /// Calls the service within the limits.
    ///
    /// A call counts as running from when its request is whole until its response begins. So a stream counts only
    /// until it is open, and a response that its caller does not read blocks no other call.
    pub(super) async fn run<S: GrpcService>(
        &self,
        service: S,
        request: Box<Request<Body>>,
        mut permit: CallPermit,
        connection: &Arc<ConnectionContext>,
    ) -> Result<Response<Body>, Rejection> {
        if request.body().is_end_stream() {
            permit.take_slot(connection)?;
        }
        let requested = timeout::from_headers(request.headers()).map_err(|_| Rejection::TimeoutMalformed)?;
        let limit = requested.unwrap_or(self.timeout).min(self.timeout);
        let response = time::timeout(limit, catch_panic(service, request, permit)).await;
        let response = response.map_err(|_| Rejection::TimeoutExceeded(limit))??;
        match tonic_rejection(response.headers()) {
            Some(rejection) => Err(rejection),
            None => Ok(response),
        }
    }
}

/// Calls the service. A panic drops the call and becomes a rejection.
async fn catch_panic<S: GrpcService>(
    service: S,
    request: Box<Request<Body>>,
    mut permit: CallPermit,
) -> Result<Response<Body>, Rejection> {
    let mut response = pin!(service.oneshot(*request));
    let polled = std::future::poll_fn(|cx| {
        // Unwind safe, because the call is not polled again after a panic.
        match permit.poll_with(|| catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(cx)))) {
            Ok(polled) => polled.map(|Ok(response)| Ok(response)),
            Err(_) => Poll::Ready(Err(Rejection::Panicked)),
        }
    });
    polled.await.inspect_err(|_| tracing::error!("a call panicked"))
}

/// Returns the documented rejection for a response that tonic created without calling the service.
///
/// tonic's own responses have neither this service's codes nor its reasons. Responses of the service have details.
fn tonic_rejection(headers: &HeaderMap) -> Option<Rejection> {
    // Most responses have their status in the trailers.
    headers.get(&GRPC_STATUS)?;
    if headers.contains_key(&GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    match status.code() {
        Code::OutOfRange => Some(Rejection::RequestTooLarge(status.message().to_owned())),
        Code::Internal => Some(Rejection::RequestMalformed(status.message().to_owned())),
        Code::Unimplemented if status.message().is_empty() => Some(auth::Error::MethodUnknown.into()),
        _ => None,
    }
}

static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
