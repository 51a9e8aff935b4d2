//! A client of the Connect protocol for the generated clients: it makes a Connect call of each gRPC call.
//!
//! So every test of calls can run over both protocols. Each response is checked against the protocol on its way: the
//! HTTP status of the code, the content type, the reason in the header and in the JSON.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use cloakroom::grpc::DESCRIPTOR_SETS;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, StdError};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};
use tower::Service;

use super::environment;

/// A protocol, its encoding and its HTTP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Connect(Codec, HttpVersion),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Proto,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    Http1,
    Http2,
}

impl Default for Protocol {
    /// The protocol of the variable `CLOAKROOM_TEST_PROTOCOL`, so that every test can run over each of them.
    fn default() -> Self {
        match environment::text("CLOAKROOM_TEST_PROTOCOL").as_deref() {
            None | Some("grpc") => Self::Grpc,
            Some("connect-proto-1") => Self::Connect(Codec::Proto, HttpVersion::Http1),
            Some("connect-json-1") => Self::Connect(Codec::Json, HttpVersion::Http1),
            Some("connect-proto-2") => Self::Connect(Codec::Proto, HttpVersion::Http2),
            Some("connect-json-2") => Self::Connect(Codec::Json, HttpVersion::Http2),
            Some(other) => panic!("CLOAKROOM_TEST_PROTOCOL: {other}"),
        }
    }
}

impl Protocol {
    pub(crate) const ALL: [Self; 5] = [
        Self::Grpc,
        Self::Connect(Codec::Proto, HttpVersion::Http1),
        Self::Connect(Codec::Json, HttpVersion::Http1),
        Self::Connect(Codec::Proto, HttpVersion::Http2),
        Self::Connect(Codec::Json, HttpVersion::Http2),
    ];
}

/// Where a client connects to.
#[derive(Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A connector of the test's own.
    Custom(Arc<dyn Fn() -> BoxFuture<Box<dyn Io>, io::Error> + Send + Sync>),
}

/// A socket.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What carries the calls of a generated client. Clones share their connections.
#[derive(Clone)]
pub(crate) enum Transport {
    Grpc(Channel),
    Connect(Box<ConnectTransport>),
}

/// Makes Connect calls.
#[derive(Clone)]
pub(crate) struct ConnectTransport {
    client: Client<Connector, Full<Bytes>>,
    codec: Codec,
}

impl Transport {
    /// Connects to a TCP address such as `http://127.0.0.1:50051`.
    pub(crate) async fn connect(address: &str, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Grpc => Self::Grpc(Channel::from_shared(address.to_owned()).unwrap().connect().await.unwrap()),
            Protocol::Connect(codec, version) => {
                let address = address.strip_prefix("http://").unwrap().parse().unwrap();
                Self::Connect(Box::new(ConnectTransport::new(Target::Tcp(address), codec, version)))
            }
        }
    }
}

impl ConnectTransport {
    pub(crate) fn new(target: Target, codec: Codec, version: HttpVersion) -> Self {
        let client =
            Client::builder(TokioExecutor::new()).http2_only(version == HttpVersion::Http2).build(Connector(target));
        Self { client, codec }
    }

    /// Makes an HTTP request as it is, and waits for the head of its response.
    pub(crate) async fn begin(&self, request: Request<Bytes>) -> Response<Incoming> {
        self.client.request(request.map(Full::new)).await.unwrap()
    }

    /// Makes an HTTP request as it is.
    pub(crate) async fn request(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = self.begin(request).await.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn call(self, request: Request<Body>) -> Result<Response<Body>, StdError> {
        let (parts, body) = request.into_parts();
        let rpc = rpc(parts.uri.path());
        let is_stream = rpc.as_ref().is_some_and(|rpc| rpc.is_server_streaming());
        let mut frames = BytesMut::from(&*body.collect().await?.to_bytes());
        let mut messages = Vec::new();
        while let Some((_, message)) = take(&mut frames) {
            messages.push(match (self.codec, &rpc) {
                (Codec::Json, Some(rpc)) => json(rpc.input(), message),
                _ => message,
            });
        }
        let body = match (is_stream, &*messages) {
            (false, [message]) => message.clone(),
            (false, _) => panic!("a unary call has one message"),
            (true, messages) => messages.iter().flat_map(|message| envelope(message)).collect(),
        };
        let uri = Uri::builder().scheme("http").authority("localhost").path_and_query(parts.uri.path()).build()?;
        let mut call = Request::post(uri).body(Full::new(body))?;
        *call.headers_mut() = request_headers(&parts.headers, is_stream, self.codec);
        let response = self.client.request(call).await.map_err(|error| Status::unavailable(format!("{error:?}")))?;
        let response_message = rpc.map(|rpc| rpc.output());
        match is_stream {
            true => Ok(stream_response(response, self.codec, response_message)),
            false => unary_response(response, self.codec, response_message).await,
        }
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<Response<Body>, StdError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        match self {
            Self::Grpc(channel) => channel.poll_ready(cx).map_err(Into::into),
            Self::Connect(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Self::Grpc(channel) => {
                let response = channel.call(request);
                Box::pin(async { Ok(response.await?) })
            }
            Self::Connect(connect) => Box::pin(ConnectTransport::clone(connect).call(request)),
        }
    }
}

/// Converts the headers of a gRPC call.
fn request_headers(grpc: &HeaderMap, is_stream: bool, codec: Codec) -> HeaderMap {
    let mut headers = grpc.clone();
    for name in ["te", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding"] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(is_stream, codec)));
    headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
    if let Some(timeout) = grpc.get("grpc-timeout") {
        headers.insert("connect-timeout-ms", milliseconds(timeout.to_str().unwrap()).parse().unwrap());
    }
    headers
}

/// Converts a `grpc-timeout`; leaves an invalid one as it is.
fn milliseconds(timeout: &str) -> String {
    let (digits, unit) = timeout.split_at(timeout.len() - 1);
    let Ok(amount) = digits.parse::<u64>() else { return timeout.to_owned() };
    let milliseconds = match unit {
        "H" => amount * 3_600_000,
        "M" => amount * 60_000,
        "S" => amount * 1000,
        "m" => amount,
        "u" => amount / 1000,
        "n" => amount / 1_000_000,
        _ => return timeout.to_owned(),
    };
    milliseconds.to_string()
}

async fn unary_response(
    response: Response<Incoming>,
    codec: Codec,
    message: Option<MessageDescriptor>,
) -> Result<Response<Body>, StdError> {
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Status::unavailable(format!("{error:?}")))?.to_bytes();
    if parts.status != StatusCode::OK {
        return Ok(error_response(parts.status, &parts.headers, &body));
    }
    assert_eq!(parts.headers[header::CONTENT_TYPE], content_type(false, codec));
    assert!(!parts.headers.contains_key("grpc-status"), "{:?}", parts.headers);
    let encoded = match (codec, message) {
        (Codec::Json, Some(message)) => encode_json(message, &body),
        _ => body,
    };
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(envelope(&encoded)).with_trailers(async { Some(Ok(trailers)) });
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(with_grpc_version(parts), Body::new(body)))
}

fn with_grpc_version(mut parts: http::response::Parts) -> http::response::Parts {
    parts.version = Version::HTTP_2;
    parts
}

/// Checks an error of a unary call, and converts it.
fn error_response(http_status: StatusCode, headers: &HeaderMap, json: &[u8]) -> Response<Body> {
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let status = status(&serde_json::from_slice(json).unwrap());
    assert_eq!(http_status.as_u16(), status_of(&status), "{status:?}");
    let reason = status.get_details_error_info().map(|info| info.reason);
    assert_eq!(headers.get("cloakroom-reason").map(|reason| reason.to_str().unwrap()), reason.as_deref());
    let mut response = status.into_http();
    for (name, value) in headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// Returns the HTTP status of an error, by the table of the protocol, and for some reasons a better one.
fn status_of(status: &Status) -> u16 {
    match status.get_details_error_info().map(|info| info.reason).as_deref() {
        Some("CONTENT_TYPE_UNSUPPORTED") => return 415,
        Some("HTTP_METHOD_UNSUPPORTED") => return 405,
        Some("HTTP_VERSION_UNSUPPORTED") => return 505,
        Some("HOST_REFUSED") => return 421,
        _ => {}
    }
    match status.code() {
        Code::Ok => panic!("an error is not OK"),
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unauthenticated => 401,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

/// Reads the JSON of an error.
pub(crate) fn status(json: &serde_json::Value) -> Status {
    let name = json["code"].as_str().unwrap_or_else(|| panic!("no code: {json}"));
    // The gRPC names differ in this one.
    let name = if name == "canceled" { "cancelled" } else { name };
    let mut codes = (1..17).map(Code::from_i32);
    let code = codes.find(|code| snake_case(&format!("{code:?}")) == name).unwrap_or_else(|| panic!("{json}"));
    let details = json["details"].as_array().map_or(&[][..], Vec::as_slice);
    let details = details.iter().map(|detail| {
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap()).unwrap();
        let info = pb::ErrorInfo::decode(&*value).unwrap();
        assert_eq!(detail["type"], "google.rpc.ErrorInfo");
        assert_eq!(
            (&detail["debug"]["reason"], &detail["debug"]["domain"]),
            (&info.reason.into(), &info.domain.into())
        );
        prost_types::Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(), value }
    });
    let message = json["message"].as_str().unwrap_or_default().to_owned();
    let details = pb::Status { code: code.into(), message: message.clone(), details: details.collect() };
    Status::with_details(code, message, details.encode_to_vec().into())
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn stream_response(response: Response<Incoming>, codec: Codec, message: Option<MessageDescriptor>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    assert_eq!(parts.status, StatusCode::OK);
    assert_eq!(parts.headers[header::CONTENT_TYPE], content_type(true, codec));
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let message = message.filter(|_| codec == Codec::Json);
    let stream = StreamBody { body, message, buffer: BytesMut::new(), trailers: None };
    Response::from_parts(with_grpc_version(parts), Body::new(stream))
}

/// The body of a stream, as gRPC frames.
struct StreamBody {
    body: Incoming,
    /// `None`: the messages are protobuf.
    message: Option<MessageDescriptor>,
    buffer: BytesMut,
    trailers: Option<HeaderMap>,
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            match take(&mut self.buffer) {
                Some((0, message)) => {
                    assert!(self.trailers.is_none(), "a message follows the end");
                    let message = match &self.message {
                        Some(descriptor) => encode_json(descriptor.clone(), &message),
                        None => message,
                    };
                    return Poll::Ready(Some(Ok(Frame::data(envelope(&message)))));
                }
                Some((2, json)) => {
                    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
                    let status = json.get("error").map_or_else(|| Status::new(Code::Ok, ""), status);
                    assert!(self.trailers.replace(status.into_http::<()>().into_parts().0.headers).is_none(), "{json}");
                }
                Some((flag, _)) => panic!("the flag {flag}"),
                None => match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                    Some(Ok(frame)) => self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    Some(Err(error)) => return Poll::Ready(Some(Err(Status::unavailable(format!("{error:?}"))))),
                    None => {
                        assert!(self.buffer.is_empty(), "the stream ends within an envelope");
                        return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
                    }
                },
            }
        }
    }
}

pub(crate) const fn content_type(is_stream: bool, codec: Codec) -> &'static str {
    match (is_stream, codec) {
        (false, Codec::Proto) => "application/proto",
        (false, Codec::Json) => "application/json",
        (true, Codec::Proto) => "application/connect+proto",
        (true, Codec::Json) => "application/connect+json",
    }
}

/// Builds an envelope, which is a gRPC frame too.
pub(crate) fn envelope(message: &[u8]) -> Bytes {
    let mut envelope = BytesMut::new();
    envelope.put_u8(0);
    envelope.put_u32(u32::try_from(message.len()).unwrap());
    envelope.put_slice(message);
    envelope.freeze()
}

/// Takes the next envelope: its flag and its message.
pub(crate) fn take(buffer: &mut BytesMut) -> Option<(u8, Bytes)> {
    let [flag, length @ ..] = *buffer.first_chunk::<5>()?;
    let length = u32::from_be_bytes(length) as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    buffer.advance(5);
    Some((flag, buffer.split_to(length).freeze()))
}

/// The descriptors of all messages.
pub(crate) fn descriptors() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        let mut pool = DescriptorPool::new();
        for set in DESCRIPTOR_SETS {
            pool.decode_file_descriptor_set(set).unwrap();
        }
        pool
    });
    &POOL
}

/// Returns the RPC of a path.
pub(crate) fn rpc(path: &str) -> Option<MethodDescriptor> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    descriptors().get_service_by_name(service)?.methods().find(|rpc| rpc.name() == method)
}

/// Returns a message as JSON; one that cannot be decoded or has no JSON as it is.
fn json(descriptor: MessageDescriptor, message: Bytes) -> Bytes {
    let Ok(decoded) = DynamicMessage::decode(descriptor, message.clone()) else { return message };
    serde_json::to_vec(&decoded).map_or(message, Bytes::from)
}

fn encode_json(descriptor: MessageDescriptor, json: &[u8]) -> Bytes {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(descriptor, &mut reader).unwrap();
    reader.end().unwrap();
    message.encode_to_vec().into()
}

/// Connects to a target, whatever the address in a request is.
#[derive(Clone)]
struct Connector(Target);

impl Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = io::Error;
    type Future = BoxFuture<TokioIo<Socket>, io::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let target = self.0.clone();
        Box::pin(async move {
            let io: Box<dyn Io> = match target {
                Target::Tcp(address) => {
                    let socket = TcpStream::connect(address).await?;
                    socket.set_nodelay(true)?;
                    Box::new(socket)
                }
                Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Target::Custom(connect) => connect().await?,
            };
            Ok(TokioIo::new(Socket(io)))
        })
    }
}

/// A socket for the connection pool.
struct Socket(Box<dyn Io>);

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
