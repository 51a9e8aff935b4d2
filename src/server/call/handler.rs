//! The handler of calls: takes a request of a connection to its service, and returns the response.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use super::browser_guard;
use super::call_limits::CallLimits;
use super::call_permit::CallPermit;
use super::call_recorder::CallRecorder;
use super::http1_request::Http1Request;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use crate::auth::ConnectionInfo;
use crate::connect::{Codec, Protocol};
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
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<S> {
        let stream = self.activity.open_stream(request.version());
        let protocol = Protocol::of_request(&mut request);
        let http1_request = Http1Request::begin(&request, &self.activity, &self.context);
        // In a box, because each future that the request passes through holds it twice, and all of them are moved.
        let mut request = Box::new(self.with_body(request, protocol));
        request.extensions_mut().insert(Arc::clone(&self.connection));
        let (connection, limits) = (Arc::clone(&self.connection), Arc::clone(&self.limits));
        let (context, service) = (Arc::clone(&self.context), self.service.clone());
        let version = request.version();
        async move {
            if let Some(http1_request) = &http1_request {
                http1_request.take_turn().await;
            }
            // Browsers speak HTTP/2 by TLS only, so a name for loopback stays a name for callers of gRPC.
            let may_be_page = version < Version::HTTP_2 || context.tls.is_some();
            let asks_host = may_be_page && context.is_on_loopback && connection.peer.is_open_to_all();
            let is_clear = http1_request.as_ref().map_or(Ok(()), |http1| http1.check(&request));
            let console_user = context.has_console.then_some(&connection.peer);
            let is_allowed = is_clear.and_then(|()| browser_guard::check(&request, asks_host, console_user));
            if is_allowed.is_ok()
                && let Some(mut page) =
                    context.admin_http.as_ref().and_then(|http| http.page(&request, &connection.peer))
            {
                drop(request);
                if let Some(http1_request) = http1_request {
                    http1_request.finish(&mut page).await;
                }
                return Ok(page.map(|body| ResponseBody::of_page(body, stream, context)));
            }
            // The refusal of a request of no protocol is JSON, which reads well wherever it arrives.
            let of_refusal = protocol.unwrap_or(Protocol::ConnectUnary(Codec::Json));
            let mut call = CallRecorder::start(&context, &request, of_refusal);
            let caller = call.authenticate(&connection.peer, &mut request);
            let is_public = connection.peer.is_public(call.rpc.0);
            let allowed = is_allowed.and_then(|()| check_protocol(&request, protocol, &context, is_public));
            let mut response = match allowed.and_then(|protocol| Ok((protocol, caller?))) {
                Err(rejection) => {
                    drop(request);
                    refuse(rejection, of_refusal, version)
                }
                Ok((protocol, caller)) => {
                    // Health checks are answered at any load.
                    let permit = match is_public {
                        true => CallPermit::default(),
                        false => CallPermit::wanting_slot(caller.clone()),
                    };
                    request.extensions_mut().insert(caller);
                    // In a box, so that the task of the stream is small: it is moved four times.
                    let running = limits.run(service, request, protocol, permit, &context);
                    let response = Box::pin(call.context.scope(running)).await;
                    response.unwrap_or_else(|status| protocol.error_response(status, None))
                }
            };
            call.record_response(&mut response);
            if let Some(http1_request) = http1_request {
                http1_request.finish(&mut response).await;
            }
            Ok(response.map(|body| ResponseBody::of_call(call, body, stream)))
        }
    }

    fn with_body(&self, request: Request<Incoming>, protocol: Option<Protocol>) -> Request<Body> {
        let (parts, body) = request.into_parts();
        let body = RequestBody::new(body, &self.context, self.limits.request_timeout, protocol, &parts);
        Request::from_parts(parts, Body::new(body))
    }
}

/// Returns the protocol of a call, if it is one that is served. Health checks are answered by each.
fn check_protocol(
    request: &Request<Body>,
    protocol: Option<Protocol>,
    context: &ConnectionContext,
    is_public: bool,
) -> Result<Protocol, Rejection> {
    if request.method() != Method::POST && protocol != Some(Protocol::ForwardAuth) {
        return Err(Rejection::HttpMethodUnsupported);
    }
    match protocol {
        Some(protocol @ (Protocol::ForwardAuth | Protocol::ExtAuthz)) if !context.protocols.serves(protocol) => {
            Err(Rejection::ServiceUnknown)
        }
        Some(protocol) if !context.protocols.serves(protocol) && !is_public => Err(Rejection::ContentTypeUnsupported),
        Some(protocol) if !context.schema.fits(request.uri().path(), protocol) => {
            Err(Rejection::ContentTypeUnsupported)
        }
        Some(Protocol::Grpc) if request.version() != Version::HTTP_2 => Err(Rejection::HttpVersionUnsupported),
        Some(protocol) => Ok(protocol),
        None => Err(Rejection::ContentTypeUnsupported),
    }
}

/// Builds the response to a request that is refused by its headers.
fn refuse(rejection: Rejection, protocol: Protocol, version: Version) -> Response<Body> {
    let http_status = rejection.http_status();
    let is_wrong_method = rejection == Rejection::HttpMethodUnsupported;
    // Clients of gRPC read a status of gRPC only. The others read the HTTP status first. To a proxy a 403 is an answer.
    let is_grpc = protocol == Protocol::Grpc && version == Version::HTTP_2 && !is_wrong_method;
    let is_connect = !is_grpc && !matches!(protocol, Protocol::ForwardAuth | Protocol::ExtAuthz);
    let protocol = if http_status.is_some() && is_connect { Protocol::ConnectUnary(Codec::Json) } else { protocol };
    let mut response = protocol.error_response(Status::from(rejection), http_status);
    if is_wrong_method {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}
