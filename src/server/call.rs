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

use super::budget::Taken;
use super::refusal::{GRPC_STATUS, Refusal, not_grpc};
use super::{Grpc, Settings, timeout};

/// What bounds the calls of the whole process.
#[derive(Debug)]
pub(super) struct Calls {
    free: Semaphore,
    timeout: Duration,
}

impl Calls {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { free: Semaphore::new(settings.max_calls), timeout: settings.call_timeout }
    }

    /// The service's answer, or the reason why there is none.
    ///
    /// A call counts as running, and its time runs, until its answer begins. So a stream counts only while it is being
    /// opened, and answers that nobody reads keep no one else from calling; connections and streams bound those.
    pub(super) async fn answer<S: Grpc>(&self, service: S, request: Box<Request<Body>>) -> Response<Body> {
        if let Some(status) = why_not_grpc(&request) {
            return not_grpc(status);
        }
        match self.run(service, request).await {
            Ok(response) => explain(response),
            Err(refusal) => refusal.into_response(),
        }
    }

    async fn run<S: Grpc>(&self, service: S, request: Box<Request<Body>>) -> Result<Response<Body>, Refusal> {
        let _running = self.free.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let asked = timeout::of(request.headers()).map_err(|_| Refusal::TimeoutMalformed)?;
        let limit = asked.unwrap_or(self.timeout).min(self.timeout);
        match time::timeout(limit, caught(service, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Refusal::TimeoutExceeded(limit)),
        }
    }
}

/// What is answered to a call that was not let in.
pub(super) fn refuse(request: &Request<Body>, refusal: Refusal) -> Response<Body> {
    why_not_grpc(request).map_or_else(|| refusal.into_response(), not_grpc)
}

/// The service's answer, or that it panicked; what it was doing is dropped either way.
async fn caught<S: Grpc>(service: S, request: Box<Request<Body>>) -> Result<Response<Body>, Refusal> {
    let mut answer = pin!(service.oneshot(*request));
    let mut taken = Taken::default();
    let polled = std::future::poll_fn(|cx| {
        // Nothing that the panic left half done is used again.
        match taken.during(|| catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Refusal::Panicked)),
        }
    });
    match polled.await {
        Ok(Ok(response)) => Ok(response),
        Err(refusal) => {
            tracing::error!("a call panicked");
            Err(refusal)
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
    match refusal(response.headers()) {
        Some(refusal) => refusal.into_response(),
        None => response,
    }
}

/// What tonic refused before the service was asked. The service's own answers come with details.
fn refusal(headers: &HeaderMap) -> Option<Refusal> {
    // Most answers have their status in the trailers.
    headers.get(&GRPC_STATUS)?;
    if headers.contains_key(&GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    match status.code() {
        Code::OutOfRange => Some(Refusal::RequestTooLarge(status.message().to_owned())),
        Code::Internal => Some(Refusal::RequestMalformed(status.message().to_owned())),
        Code::Unimplemented if status.message().is_empty() => Some(Refusal::MethodUnknown),
        _ => None,
    }
}

const GRPC: &[u8] = b"application/grpc";

static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
