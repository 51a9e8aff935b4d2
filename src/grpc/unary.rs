//! The session service, whose most frequent RPCs also answer a message without gRPC's frames, streams and trailers.
//!
//! For a protocol that is not gRPC, the frames would be made only to be taken off again: a fifth of the cost of a call.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use prost::Message;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Request as Call, Status};
use tower::Service;

use super::Rejection;
use super::session_service::MAX_REQUEST_BYTES;
use super::wire::session_service_server::{SERVICE_NAME, SessionService, SessionServiceServer};

/// The message of a unary call, in the extensions of its request. The body has it too, in gRPC's frame.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a message has tokens and entries")]
pub struct UnaryRequest(pub Bytes);

/// The message of the response, in the extensions of a response whose body is empty.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a message has tokens and entries")]
pub struct UnaryResponse(pub Bytes);

/// A session service of both kinds.
pub struct SessionServer<T> {
    rpcs: Arc<T>,
    grpc: SessionServiceServer<T>,
}

impl<T: SessionService> SessionServer<T> {
    pub(super) fn new(rpcs: T) -> Self {
        let rpcs = Arc::new(rpcs);
        let grpc = SessionServiceServer::from_arc(Arc::clone(&rpcs)).max_decoding_message_size(MAX_REQUEST_BYTES);
        Self { rpcs, grpc }
    }
}

impl<T: SessionService> Service<Request<Body>> for SessionServer<T> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.grpc, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(UnaryRequest(message)) = request.extensions().get().cloned() else { return self.grpc.call(request) };
        let rpcs = Arc::clone(&self.rpcs);
        match request.uri().path() {
            OPEN => Box::pin(respond(request, message, async move |call| rpcs.open_session(call).await)),
            SAVE => Box::pin(respond(request, message, async move |call| rpcs.save_session(call).await)),
            SHOULD => Box::pin(respond(request, message, async move |call| rpcs.should_set_cookie(call).await)),
            _ => self.grpc.call(request),
        }
    }
}

/// Decodes the message, makes the call, and encodes the result.
async fn respond<Q: Message + Default, R: Message>(
    request: Request<Body>,
    message: Bytes,
    rpc: impl AsyncFnOnce(Call<Q>) -> Result<tonic::Response<R>, Status>,
) -> Result<Response<Body>, Infallible> {
    let message = match Q::decode(message) {
        Ok(message) => message,
        Err(error) => return Ok(Rejection::RequestMalformed(error.to_string()).into_response()),
    };
    let (parts, _) = request.into_parts();
    let call = Call::from_parts(MetadataMap::from_headers(parts.headers), parts.extensions, message);
    Ok(match rpc(call).await {
        Ok(result) => {
            let (metadata, message, extensions) = result.into_parts();
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = metadata.into_headers();
            *response.extensions_mut() = extensions;
            response.extensions_mut().insert(UnaryResponse(message.encode_to_vec().into()));
            response
        }
        Err(status) => status.into_http(),
    })
}

impl<T> NamedService for SessionServer<T> {
    const NAME: &'static str = SERVICE_NAME;
}

// Not derived, because the RPCs are shared and need not be Clone.
impl<T> Clone for SessionServer<T> {
    fn clone(&self) -> Self {
        Self { rpcs: Arc::clone(&self.rpcs), grpc: self.grpc.clone() }
    }
}

impl<T> fmt::Debug for SessionServer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionServer").finish_non_exhaustive()
    }
}

const OPEN: &str = "/cloakroom.v1.SessionService/OpenSession";
const SAVE: &str = "/cloakroom.v1.SessionService/SaveSession";
const SHOULD: &str = "/cloakroom.v1.SessionService/ShouldSetCookie";
