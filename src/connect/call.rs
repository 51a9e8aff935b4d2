//! One call: its request becomes the request of a gRPC service, and the service's response that of the protocol.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;

use bytes::{Buf as _, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use super::envelope::{self, PREFIX};
use super::protocol::{Codec, Protocol};
use super::schema::{Rpc, Schema, encode_json, json};
use super::stream::{JsonRequest, StreamResponse};
use super::{ext_authz, forward_auth};
use crate::grpc::{self, Rejection, UnaryRequest, UnaryResponse};

/// Calls a gRPC service by the protocol of the request, whose headers [`check`] has accepted. A failure that the service reports is in the response.
pub async fn call<S>(
    service: S,
    request: Request<Body>,
    protocol: Protocol,
    schema: &Schema,
) -> Result<Response<Body>, Status>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let rpc = schema.rpc(request.uri().path());
    let (mut parts, body) = request.into_parts();
    let body = match (protocol, rpc) {
        (Protocol::Grpc, _) | (Protocol::ConnectStream(Codec::Proto), _) => body,
        (Protocol::ConnectStream(Codec::Json), Some(rpc)) => {
            let max_bytes = grpc::max_request_bytes(parts.uri.path());
            Body::new(JsonRequest::new(body, rpc.request.clone(), max_bytes))
        }
        // The service answers that there is no such RPC.
        (Protocol::ConnectStream(Codec::Json), None) => Body::empty(),
        (Protocol::ConnectUnary(codec), rpc) => {
            let message = unary_message(body, codec, rpc).await?;
            unary_body(&mut parts, message)
        }
        (Protocol::ForwardAuth, _) => {
            // It is read to its end, because a call counts from then on.
            collect(body).await?;
            let request = forward_auth::request(&parts);
            unary_body(&mut parts, envelope::of(&request))
        }
        (Protocol::ExtAuthz, _) => {
            let request = ext_authz::request(collect(body).await?)?;
            unary_body(&mut parts, envelope::of(&request))
        }
    };
    parts.headers.insert(header::CONTENT_TYPE, Protocol::Grpc.content_type());
    parts.headers.remove(header::CONTENT_LENGTH);
    let Ok(response) = service.oneshot(Request::from_parts(parts, body)).await;
    if let Some(rejection) = Rejection::of_tonic(response.headers()) {
        return Err(rejection.into());
    }
    respond(response, protocol, rpc).await
}

/// Checks what the headers say of the call, before its body is read.
pub fn check(headers: &HeaderMap, protocol: Protocol) -> Result<(), Rejection> {
    let is_unary = match protocol {
        Protocol::Grpc | Protocol::ForwardAuth | Protocol::ExtAuthz => return Ok(()),
        Protocol::ConnectUnary(_) => true,
        Protocol::ConnectStream(_) => false,
    };
    let encoding = headers.get(if is_unary { &header::CONTENT_ENCODING } else { &CONNECT_CONTENT_ENCODING });
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(Rejection::CompressionUnsupported);
    }
    match headers.get(&CONNECT_PROTOCOL_VERSION) {
        Some(version) if version != "1" => Err(Rejection::ConnectVersionUnsupported),
        _ => Ok(()),
    }
}

/// Returns the body of a unary call, whose message the service finds in the extensions as well.
fn unary_body(parts: &mut Parts, message: Bytes) -> Body {
    parts.extensions.insert(UnaryRequest(message.slice(PREFIX..)));
    Body::new(Full::new(message))
}

/// Receives the message of a unary call, as a gRPC frame.
async fn unary_message(body: Body, codec: Codec, rpc: Option<&Rpc>) -> Result<Bytes, Status> {
    let message = collect(body).await?;
    match (codec, rpc) {
        (Codec::Proto, _) => Ok(envelope::finish(message)),
        (Codec::Json, None) => Ok(envelope::finish(envelope::buffer(0))),
        (Codec::Json, Some(rpc)) => {
            let mut encoded = envelope::buffer(message.len());
            encode_json(&rpc.request, &message[PREFIX..], &mut encoded).map_err(Rejection::RequestMalformed)?;
            Ok(envelope::finish(encoded))
        }
    }
}

/// Receives a whole body, behind room for a prefix.
async fn collect(body: Body) -> Result<BytesMut, Status> {
    let mut message = envelope::buffer(usize::try_from(body.size_hint().lower()).unwrap_or_default().min(MAX_RESERVED));
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(broken_body)?.into_data() {
            message.extend_from_slice(&data);
        }
    }
    Ok(message)
}

/// Returns the error of a body. Those of the server have a reason already.
fn broken_body(status: Status) -> Status {
    if status.details().is_empty() { Rejection::RequestMalformed(BROKEN.to_owned()).into() } else { status }
}

/// Converts the response of the service.
async fn respond(response: Response<Body>, protocol: Protocol, rpc: Option<&Rpc>) -> Result<Response<Body>, Status> {
    let codec = match protocol {
        Protocol::Grpc => return Ok(response),
        Protocol::ConnectUnary(codec) | Protocol::ConnectStream(codec) => codec,
        Protocol::ForwardAuth | Protocol::ExtAuthz => Codec::Proto,
    };
    let (mut parts, body) = response.into_parts();
    let headers = &mut parts.headers;
    if let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok) {
        return Ok(protocol.error_response(status, None));
    }
    headers.insert(header::CONTENT_TYPE, protocol.content_type());
    headers.remove(&GRPC_ENCODING);
    headers.remove(&GRPC_ACCEPT_ENCODING);
    let message = match codec {
        Codec::Proto => None,
        Codec::Json => rpc.map(|rpc| &rpc.response),
    };
    if let Protocol::ConnectStream(_) = protocol {
        headers.insert(X_ACCEL_BUFFERING.clone(), HeaderValue::from_static("no"));
        return Ok(Response::from_parts(parts, Body::new(StreamResponse::new(body, message.cloned()))));
    }
    let reply = match parts.extensions.remove::<UnaryResponse>() {
        Some(UnaryResponse(reply)) => reply,
        None => match unary_reply(body, headers).await? {
            Ok(reply) => reply,
            Err(failed) => {
                let mut response = protocol.error_response(failed, None);
                response.headers_mut().extend(std::mem::take(headers).into_iter().filter_map(|(name, value)| {
                    name.filter(|name| name != header::CONTENT_TYPE).map(|name| (name, value))
                }));
                return Ok(response);
            }
        },
    };
    match protocol {
        Protocol::ForwardAuth => return forward_auth::respond(reply),
        Protocol::ExtAuthz => return forward_auth::respond(reply).map(ext_authz::respond),
        Protocol::Grpc | Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) => {}
    }
    let reply = match message {
        Some(message) => json(message, reply).map_err(Status::internal)?,
        None => reply,
    };
    Ok(Response::from_parts(parts, Body::new(Full::new(reply))))
}

/// Receives the response of a unary gRPC call: its message, or its failure. Its trailers become headers.
async fn unary_reply(body: Body, headers: &mut HeaderMap) -> Result<Result<Bytes, Status>, Status> {
    let received = body.collect().await?;
    let trailers = received.trailers().cloned().unwrap_or_default();
    let mut message = received.to_bytes();
    let status = Status::from_header_map(&trailers).filter(|status| status.code() != Code::Ok);
    for (name, value) in super::status_format::custom(&trailers) {
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            headers.append(name, HeaderValue::clone(value));
        }
    }
    if let Some(status) = status {
        return Ok(Err(status));
    }
    message.advance(PREFIX.min(message.len()));
    Ok(Ok(message))
}

/// More room is not made before the bytes are there, for they may never come.
const MAX_RESERVED: usize = 4 * 1024;

const BROKEN: &str = "the body of the request is broken, or ends too early";

/// Has nginx pass each message of a stream on at once: `ngx_http_proxy_module`, `proxy_buffering`.
static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
static CONNECT_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
static CONNECT_CONTENT_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
