//! The limits of a call: what it holds while it runs, how long it may take, and that a panic ends only itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tokio::time;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::call_permit::CallPermit;
use super::timeout;
use crate::connect::{self, Protocol, Schema};
use crate::grpc::Rejection;
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
        protocol: Protocol,
        mut permit: CallPermit,
        connection: &Arc<ConnectionContext>,
    ) -> Result<Response<Body>, Status> {
        if request.body().is_end_stream() {
            permit.take_slot(connection)?;
        }
        let requested = requested_timeout(request.headers(), protocol)?;
        let limit = requested.unwrap_or(self.timeout).min(self.timeout);
        let response = time::timeout(limit, catch_panic(service, request, protocol, permit, &connection.schema)).await;
        response.map_err(|_| Rejection::TimeoutExceeded(limit))?
    }
}

/// Returns how long the caller waits, if it says so.
fn requested_timeout(headers: &HeaderMap, protocol: Protocol) -> Result<Option<Duration>, Rejection> {
    match protocol {
        Protocol::Grpc | Protocol::ExtAuthz => timeout::from_headers(headers).map_err(|_| Rejection::TimeoutMalformed),
        Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) => connect::timeout(headers),
        Protocol::ForwardAuth => Ok(None),
    }
}

/// Calls the service. A panic drops the call and becomes a rejection.
async fn catch_panic<S: GrpcService>(
    service: S,
    request: Box<Request<Body>>,
    protocol: Protocol,
    mut permit: CallPermit,
    schema: &Schema,
) -> Result<Response<Body>, Status> {
    let mut response = pin!(call(service, request, protocol, schema));
    let polled = std::future::poll_fn(|cx| {
        // Unwind safe, because the call is not polled again after a panic.
        match permit.poll_with(|| catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(cx)))) {
            Ok(polled) => polled,
            Err(_) => {
                tracing::error!("a call panicked");
                Poll::Ready(Err(Rejection::Panicked.into()))
            }
        }
    });
    polled.await
}

/// Calls the service by the protocol of the request.
async fn call<S: GrpcService>(
    service: S,
    request: Box<Request<Body>>,
    protocol: Protocol,
    schema: &Schema,
) -> Result<Response<Body>, Status> {
    match protocol {
        Protocol::Grpc => {
            let Ok(response) = service.oneshot(*request).await;
            match Rejection::of_tonic(response.headers()) {
                Some(rejection) => Err(rejection.into()),
                None => Ok(response),
            }
        }
        // In a box, so that the futures of gRPC calls do not get larger.
        Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) | Protocol::ForwardAuth | Protocol::ExtAuthz => {
            Box::pin(connect::call(service, *request, protocol, schema)).await
        }
    }
}
