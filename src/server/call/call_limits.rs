//! One call: counted, bounded in time, and answered whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use tokio::sync::Semaphore;
use tokio::time;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::budget::BudgetPermit;
use super::timeout;
use crate::grpc::{GRPC_STATUS, Rejection, not_grpc};
use crate::server::{Grpc, Settings};

/// What bounds the calls of the whole process.
#[derive(Debug)]
pub(crate) struct CallLimits {
    free: Semaphore,
    timeout: Duration,
}

impl CallLimits {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { free: Semaphore::new(settings.max_calls), timeout: settings.call_timeout }
    }

    /// The service's answer, or the reason why there is none.
    ///
    /// A call counts as running, and its time runs, until its answer begins. So a stream counts only while it is being
    /// opened, and answers that nobody reads keep no one else from calling; connections and streams bound those.
    pub(crate) async fn answer<S: Grpc>(&self, service: S, request: Box<Request<Body>>) -> Response<Body> {
        if let Some(status) = why_not_grpc(&request) {
            return not_grpc(status);
        }
        match self.run(service, request).await {
            Ok(response) => explain(response),
            Err(rejection) => rejection.into_response(),
        }
    }

    async fn run<S: Grpc>(&self, service: S, request: Box<Request<Body>>) -> Result<Response<Body>, Rejection> {
        let _running = self.free.try_acquire().map_err(|_| Rejection::Overloaded)?;
        let asked = timeout::of(request.headers()).map_err(|_| Rejection::TimeoutMalformed)?;
        let limit = asked.unwrap_or(self.timeout).min(self.timeout);
        match time::timeout(limit, caught(service, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Rejection::TimeoutExceeded(limit)),
        }
    }
}

/// What is answered to a call that was not let in.
pub(crate) fn reject(request: &Request<Body>, rejection: Rejection) -> Response<Body> {
    why_not_grpc(request).map_or_else(|| rejection.into_response(), not_grpc)
}

/// The service's answer, or that it panicked; what it was doing is dropped either way.
async fn caught<S: Grpc>(service: S, request: Box<Request<Body>>) -> Result<Response<Body>, Rejection> {
    let mut answer = pin!(service.oneshot(*request));
    let mut taken = BudgetPermit::default();
    let polled = std::future::poll_fn(|cx| {
        // Nothing that the panic left half done is used again.
        match taken.during(|| catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Rejection::Panicked)),
        }
    });
    match polled.await {
        Ok(Ok(response)) => Ok(response),
        Err(rejection) => {
            tracing::error!("a call panicked");
            Err(rejection)
        }
    }
}

/// The HTTP status for what is no gRPC call, which no gRPC client would understand anyway.
fn why_not_grpc(request: &Request<Body>) -> Option<StatusCode> {
    if request.method() != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(GRPC));
    match kind {
        Some([] | [b'+' | b';', ..]) => None,
        Some(_) | None => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

/// Gives tonic's own answers the codes and the reasons that clients are promised.
fn explain(response: Response<Body>) -> Response<Body> {
    match rejection(response.headers()) {
        Some(rejection) => rejection.into_response(),
        None => response,
    }
}

/// What tonic refused before the service was asked. The service's own answers come with details.
fn rejection(headers: &HeaderMap) -> Option<Rejection> {
    // Most answers have their status in the trailers.
    headers.get(&GRPC_STATUS)?;
    if headers.contains_key(&GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    match status.code() {
        Code::OutOfRange => Some(Rejection::RequestTooLarge(status.message().to_owned())),
        Code::Internal => Some(Rejection::RequestMalformed(status.message().to_owned())),
        Code::Unimplemented if status.message().is_empty() => Some(Rejection::MethodUnknown),
        _ => None,
    }
}

const GRPC: &[u8] = b"application/grpc";

static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
