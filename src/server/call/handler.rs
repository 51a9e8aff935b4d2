//! The handler of calls: takes a request of a connection to its service, and returns the response.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tonic::body::Body;

use super::call_limits::CallLimits;
use super::call_permit::CallPermit;
use super::call_recorder::CallRecorder;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use crate::auth::ConnectionInfo;
use crate::grpc::Rejection;
use crate::server::GrpcService;
use crate::server::connection::{Activity, ConnectionContext};

/// Handles the requests of one connection.
#[derive(Debug)]
pub(in crate::server) struct CallHandler<S> {
    pub(in crate::server) activity: Activity,
    pub(in crate::server) connection: Arc<ConnectionInfo>,
    pub(in crate::server) limits: Arc<CallLimits>,
    pub(in crate::server) context: Arc<ConnectionContext>,
    pub(in crate::server) service: S,
}

impl<S> CallHandler<S>
where
    S: GrpcService,
    S::Future: Send,
{
    /// Responds with a page of the admin listener, or records, authenticates, limits and runs a call.
    pub(in crate::server) fn handle(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<S> {
        let stream = self.activity.open_stream();
        // In a box, because each future that the request passes through holds it twice, and all of them are moved.
        let body = |body| Body::new(RequestBody::new(body, &self.context, self.limits.request_timeout));
        let mut request = Box::new(request.map(body));
        request.extensions_mut().insert(Arc::clone(&self.connection));
        let (connection, limits) = (Arc::clone(&self.connection), Arc::clone(&self.limits));
        let (context, service) = (Arc::clone(&self.context), self.service.clone());
        async move {
            if let Some(page) = context.admin_http.as_ref().and_then(|http| http.page(&request, &connection.peer)) {
                return Ok(page.map(|body| ResponseBody::of_page(body, stream, context)));
            }
            let mut call = CallRecorder::start(&context, &request);
            let caller = call.authenticate(&connection.peer, &mut request);
            let mut response = match (non_grpc_status(&request), caller) {
                (Some(status), _) => non_grpc_response(status),
                (None, Err(error)) => Rejection::Unauthorized(error).into_response(),
                (None, Ok(caller)) => {
                    // Health checks are answered at any load.
                    let permit = match connection.peer.is_public(call.rpc.0) {
                        true => CallPermit::default(),
                        false => CallPermit::wanting_slot(caller.clone()),
                    };
                    request.extensions_mut().insert(caller);
                    // In a box, so that the task of the stream is small: it is moved four times.
                    let running = limits.run(service, request, permit, &context);
                    let response = Box::pin(call.context.scope(running)).await;
                    response.unwrap_or_else(Rejection::into_response)
                }
            };
            call.record_response(&mut response);
            Ok(response.map(|body| ResponseBody::of_call(call, body, stream)))
        }
    }
}

/// Returns the HTTP status for a request that is no gRPC call. Its client would not understand a gRPC status.
fn non_grpc_status(request: &Request<Body>) -> Option<StatusCode> {
    if request.method() != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = request.headers().get(header::CONTENT_TYPE);
    match content_type.and_then(|content_type| content_type.as_bytes().strip_prefix(b"application/grpc")) {
        Some([] | [b'+' | b';', ..]) => None,
        Some(_) | None => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

fn non_grpc_response(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
