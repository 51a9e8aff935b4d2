//! The handler of calls: takes a request of a connection to its service, and returns the response.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Body as _;
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
use super::unread_rest::UnreadRest;
use crate::auth::ConnectionInfo;
use crate::connect::{Codec, Protocol};
use crate::grpc::Rejection;
use crate::server::context::{Activity, ConnectionContext, NewCall};
use crate::server::limits::MAX_HEADERS;
use crate::server::{GrpcService, Protocols};

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
        let new_call = NewCall::arrive();
        let stream = self.activity.open_stream(request.version());
        let protocol = Protocol::of_request(&mut request);
        let http1_request = Http1Request::begin(&request, &self.activity, &self.context);
        let head = check_head(&request);
        // In a box, because each future that the request passes through holds it twice, and all of them are moved.
        let mut request = Box::new(self.with_body(request, protocol));
        request.extensions_mut().insert(Arc::clone(&self.connection));
        let (connection, limits) = (Arc::clone(&self.connection), Arc::clone(&self.limits));
        let (context, service) = (Arc::clone(&self.context), self.service.clone());
        let (version, is_head) = (request.version(), request.method() == Method::HEAD);
        async move {
            drop(new_call);
            if let Some(http1_request) = &http1_request {
                http1_request.take_turn().await;
            }
            let is_clear = head.and_then(|()| http1_request.as_ref().map_or(Ok(()), |http1| http1.check(&request)));
            let is_allowed =
                is_clear.and_then(|()| browser_guard::check(&request, protocol, &context, &connection.peer));
            if is_allowed.is_ok()
                && let Some(mut page) =
                    context.admin_http.as_ref().and_then(|http| http.page(&request, &connection.peer))
            {
                let rest = CallPermit::rest_of(request);
                finish(&mut page, is_head, http1_request, rest).await;
                return Ok(page.map(|body| ResponseBody::of_page(body, stream, context)));
            }
            // The refusal of a request of no protocol is JSON, which reads well wherever it arrives.
            let of_refusal = protocol.unwrap_or(Protocol::ConnectUnary(Codec::Json));
            let mut call = CallRecorder::start(&context, &request, of_refusal);
            let caller = call.authenticate(&connection.peer, &mut request);
            let is_public = connection.peer.is_public(call.rpc.0);
            let allowed = is_allowed.and_then(|()| check_protocol(&request, protocol, &context, is_public));
            let accepted = allowed.and_then(|protocol| {
                let is_public_stream = is_public && context.schema.is_stream(request.uri().path());
                let public_stream =
                    is_public_stream.then(|| context.open_public_stream(&connection.goaway)).transpose()?;
                Ok((protocol, caller?, limits.timeout(request.headers(), protocol)?, public_stream))
            });
            let (mut response, rest, public_stream) = match accepted {
                Err(rejection) => (refuse(rejection, of_refusal, version), CallPermit::rest_of(request), None),
                Ok((protocol, caller, timeout, public_stream)) => {
                    // Health checks are answered at any load.
                    let permit = match is_public {
                        true => CallPermit::default(),
                        false => CallPermit::wanting_slot(caller.clone()),
                    };
                    request.extensions_mut().insert(caller);
                    // In a box, so that the task of the stream is small: it is moved four times.
                    let running = CallLimits::run(service, request, protocol, timeout, permit, &context);
                    let (response, rest) = Box::pin(call.context.scope(running)).await;
                    (response.unwrap_or_else(|status| protocol.error_response(status, None)), rest, public_stream)
                }
            };
            call.record_response(&mut response);
            finish(&mut response, is_head, http1_request, rest).await;
            Ok(response.map(|body| ResponseBody::of_call(call, body, stream, public_stream)))
        }
    }

    fn with_body(&self, request: Request<Incoming>, protocol: Option<Protocol>) -> Request<RequestBody> {
        let (parts, body) = request.into_parts();
        let body = RequestBody::new(body, &self.context, self.limits.request_timeout, protocol, &parts);
        Request::from_parts(parts, body)
    }
}

/// Refuses a request with too many headers. They are dropped before the rest of the request is waited for.
fn check_head(request: &Request<Incoming>) -> Result<(), Rejection> {
    match request.headers().len() {
        ..=MAX_HEADERS => Ok(()),
        count => {
            Err(Rejection::RequestTooLarge(format!("the request has {count} headers, over the limit of {MAX_HEADERS}")))
        }
    }
}

/// Returns the protocol of a call, if it is one that is served. Health checks are answered by each.
fn check_protocol(
    request: &Request<RequestBody>,
    protocol: Option<Protocol>,
    context: &ConnectionContext,
    is_public: bool,
) -> Result<Protocol, Rejection> {
    if request.method() != Method::POST && protocol != Some(Protocol::ForwardAuth) {
        return Err(Rejection::HttpMethodUnsupported);
    }
    let serves = |protocol| context.protocols.serves(protocol);
    match protocol {
        Some(protocol @ (Protocol::ForwardAuth | Protocol::ExtAuthz)) if !serves(protocol) => {
            Err(Rejection::ServiceUnknown(PROXIES_OFF))
        }
        Some(protocol) if !serves(protocol) && !is_public => {
            Err(Rejection::ContentTypeUnsupported(if context.protocols.grpc { CONNECT_OFF } else { GRPC_OFF }))
        }
        Some(protocol) if !context.schema.fits(request.uri().path(), protocol) => {
            let is_stream = !matches!(protocol, Protocol::ConnectStream(_));
            Err(Rejection::ContentTypeUnsupported(if is_stream { STREAM } else { NO_STREAM }))
        }
        Some(Protocol::Grpc) if request.version() != Version::HTTP_2 => Err(Rejection::HttpVersionUnsupported),
        Some(protocol) => Ok(protocol),
        None => Err(Rejection::ContentTypeUnsupported(content_types(context.protocols))),
    }
}

/// Says which content types a call may have.
const fn content_types(served: Protocols) -> &'static str {
    match served {
        Protocols { grpc: true, connect: false } => "send content-type: application/grpc",
        Protocols { grpc: false, connect: true } => CONNECT_TYPES,
        Protocols { .. } => ALL_TYPES,
    }
}

/// Makes a response ready to be sent: without a body to a HEAD, and after what is left of a short request.
async fn finish(
    response: &mut Response<Body>,
    is_head: bool,
    http1_request: Option<Http1Request>,
    rest: Option<Box<UnreadRest>>,
) {
    if is_head {
        // hyper does it by HTTP/1.1 only.
        let body = mem::take(response.body_mut());
        if let Some(bytes) = body.size_hint().exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
        }
    }
    if let Some(http1_request) = http1_request {
        http1_request.finish(response).await;
    }
    if let Some(rest) = rest {
        // In a box, so that only the calls that have a rest pay for so large a future.
        Box::pin(rest.discard()).await;
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

const CONNECT_TYPES: &str = "send content-type: application/json or application/proto (streams: \
                             application/connect+json or application/connect+proto)";
const ALL_TYPES: &str = "send content-type: application/json or application/proto (streams: application/connect+json \
                         or application/connect+proto; gRPC: application/grpc)";
const STREAM: &str = "this RPC is a stream; send content-type: application/connect+json or application/connect+proto";
const NO_STREAM: &str = "this RPC is no stream; send content-type: application/json or application/proto";
const CONNECT_OFF: &str = "Connect is switched off here, by `protocols` in [server]; call by gRPC";
const GRPC_OFF: &str = "gRPC is switched off here, by `protocols` in [server]; call by Connect";
const PROXIES_OFF: &str = "check requests of proxies are switched off here in this form, by `protocols` in [server]";
