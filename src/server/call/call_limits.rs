//! The limits of a call: what it holds while it runs, how long it may take, and that a panic ends only itself.

use std::future::poll_fn;
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
use super::request_body::RequestBody;
use super::timeout;
use super::unread_rest::UnreadRest;
use crate::connect::{self, Protocol, Schema};
use crate::grpc::Rejection;
use crate::server::context::ConnectionContext;
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

    /// Returns how long the call of a request may take.
    pub(super) fn timeout(&self, headers: &HeaderMap, protocol: Protocol) -> Result<Duration, Rejection> {
        let requested = match protocol {
            Protocol::Grpc | Protocol::ExtAuthz => {
                timeout::from_headers(headers).map_err(|_| Rejection::TimeoutMalformed)
            }
            Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) => connect::timeout(headers),
            Protocol::ForwardAuth => Ok(None),
        };
        Ok(requested?.unwrap_or(self.timeout).min(self.timeout))
    }

    /// Calls the service within the limits. A panic drops the call and becomes a rejection. Returns also what the call
    /// left unread of the request.
    ///
    /// A call counts as running from when its request is whole until its response begins. So a stream counts only
    /// until it is open, and a response that its caller does not read blocks no other call.
    pub(super) async fn run<S: GrpcService>(
        service: S,
        request: Box<Request<RequestBody>>,
        protocol: Protocol,
        timeout: Duration,
        mut permit: CallPermit,
        connection: &Arc<ConnectionContext>,
    ) -> Ended {
        if request.body().is_end_stream()
            && let Err(rejection) = permit.take_slot(connection)
        {
            return (Err(rejection.into()), None);
        }
        let mut response = pin!(call(service, request, protocol, &connection.schema));
        let polled = poll_fn(|cx| {
            // Unwind safe, because the call is not polled again after a panic.
            match permit.poll_with(|| catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(cx)))) {
                Ok(polled) => polled,
                Err(_) => {
                    tracing::error!("a call panicked");
                    Poll::Ready(Err(Rejection::Panicked.into()))
                }
            }
        });
        match time::timeout(timeout, polled).await {
            Ok(response) => (response, permit.into_rest()),
            Err(_) => (Err(Rejection::TimeoutExceeded(timeout).into()), None),
        }
    }
}

/// How much memory the headers of a request take: each one its entry in the map, its name and its value.
fn head_bytes(headers: &HeaderMap) -> usize {
    let bytes = headers.iter().map(|(name, value)| HEADER_OVERHEAD + name.as_str().len() + value.len()).sum::<usize>();
    // The blocks of the allocator are up to an eighth larger, and as much is not used of its pages.
    bytes + bytes / 4
}

/// The bytes that a header takes besides its name and its value. Calculated: 104 bytes of an entry, of which a map has
/// up to a third too many, and the index of it.
const HEADER_OVERHEAD: usize = 150;

/// The response of a call, and what it left unread of its request.
pub(super) type Ended = (Result<Response<Body>, Status>, Option<Box<UnreadRest>>);

/// Calls the service by the protocol of the request.
async fn call<S: GrpcService>(
    service: S,
    mut request: Box<Request<RequestBody>>,
    protocol: Protocol,
    schema: &Schema,
) -> Result<Response<Body>, Status> {
    connect::check(request.headers(), protocol)?;
    let is_start_enough = !schema.has_one_message(request.uri().path());
    poll_fn(|cx| {
        let polled = request.body_mut().poll_start(cx);
        if polled.is_pending() && !request.body().counts_head() {
            let bytes = head_bytes(request.headers());
            request.body_mut().count_head(bytes);
        }
        match polled {
            // An unknown RPC is refused at once. The peer of a stream may wait for the headers of the response before it
            // sends a message.
            Poll::Pending if is_start_enough => {
                request.body_mut().leave_queue();
                Poll::Ready(())
            }
            polled => polled,
        }
    })
    .await;
    if is_start_enough {
        request.body_mut().count_service();
        request.body_mut().wait_for_memory().await?;
    }
    let request = request.map(Body::new);
    match protocol {
        Protocol::Grpc => {
            let Ok(response) = service.oneshot(request).await;
            match Rejection::of_tonic(response.headers()) {
                Some(rejection) => Err(rejection.into()),
                None => Ok(response),
            }
        }
        // In a box, so that the futures of gRPC calls do not get larger.
        Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) | Protocol::ForwardAuth | Protocol::ExtAuthz => {
            Box::pin(connect::call(service, request, protocol, schema)).await
        }
    }
}
