//! The limits of a call: how many run at once, how long each may take, and that a panic ends only its own call.
//!
//! Also replaces tonic's own error responses by the documented rejections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, Response};
use tokio::sync::Semaphore;
use tokio::time;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::request_budget::BudgetPermit;
use super::timeout;
use crate::auth;
use crate::grpc::{GRPC_STATUS, Rejection};
use crate::server::{GrpcService, Settings};

/// The limits of all calls of one server.
#[derive(Debug)]
pub(in crate::server) struct CallLimits {
    permits: Semaphore,
    timeout: Duration,
}

impl CallLimits {
    pub(in crate::server) fn new(settings: &Settings) -> Self {
        Self { permits: Semaphore::new(settings.max_calls), timeout: settings.call_timeout }
    }

    /// Calls the service within the limits.
    ///
    /// A call counts as running, and its time runs, until its response begins. So a stream counts only until it is
    /// open, and a response that its caller does not read blocks no other call. The limits on connections and streams
    /// apply to those.
    pub(super) async fn run<S: GrpcService>(
        &self,
        service: S,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, Rejection> {
        let _permit = self.permits.try_acquire().map_err(|_| Rejection::Overloaded)?;
        let requested = timeout::from_headers(request.headers()).map_err(|_| Rejection::TimeoutMalformed)?;
        let limit = requested.unwrap_or(self.timeout).min(self.timeout);
        let response = time::timeout(limit, catch_panic(service, request)).await;
        let response = response.map_err(|_| Rejection::TimeoutExceeded(limit))??;
        match tonic_rejection(response.headers()) {
            Some(rejection) => Err(rejection),
            None => Ok(response),
        }
    }
}

/// Calls the service. A panic drops the call and becomes a rejection.
async fn catch_panic<S: GrpcService>(service: S, request: Box<Request<Body>>) -> Result<Response<Body>, Rejection> {
    let mut response = pin!(service.oneshot(*request));
    let mut permit = BudgetPermit::default();
    let polled = std::future::poll_fn(|cx| {
        // Unwind safe, because the call is not polled again after a panic.
        match permit.collect_during(|| catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(cx)))) {
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
