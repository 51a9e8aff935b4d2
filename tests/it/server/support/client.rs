//! A client that exposes HTTP/2, which a gRPC library hides.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::test_server::with_timeout;

/// A connection.
#[derive(Debug)]
pub(in crate::server) struct Client {
    streams: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A complete answer.
#[derive(Debug)]
pub(in crate::server) struct Reply {
    pub(in crate::server) http: StatusCode,
    pub(in crate::server) body: Bytes,
    status: Option<Status>,
}

impl Client {
    /// Connects by TCP.
    pub(in crate::server) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    /// Uses a connected socket.
    pub(in crate::server) async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::try_over(io).await.unwrap()
    }

    /// Uses a connected socket; `None` if the server has closed it.
    pub(in crate::server) async fn try_over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Option<Self> {
        let (streams, connection) = h2::client::handshake(io).await.ok()?;
        Some(Self { streams, connection: tokio::spawn(connection) })
    }

    /// Uses a connected socket, with windows that never hold up the server.
    pub(in crate::server) async fn with_large_windows(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
        let (streams, connection) = builder.handshake(io).await.unwrap();
        Self { streams, connection: tokio::spawn(connection) }
    }

    /// Calls a method of the echo service.
    pub(in crate::server) async fn call(&self, method: &str) -> Reply {
        self.send(request(method), Bytes::new()).await
    }

    /// Sends a request and waits for the complete answer.
    pub(in crate::server) async fn send(&self, request: Request<()>, body: Bytes) -> Reply {
        reply(self.begin_with(request, body).await).await.unwrap()
    }

    /// Starts a call of a method of the echo service.
    pub(in crate::server) async fn begin(&self, method: &str) -> ResponseFuture {
        self.begin_with(request(method), Bytes::new()).await
    }

    /// Sends a request without a body, and does not wait for the answer.
    pub(in crate::server) async fn begin_request(&self, request: Request<()>) -> ResponseFuture {
        self.begin_with(request, Bytes::new()).await
    }

    /// Sends a request with a body, and does not wait for the answer.
    pub(in crate::server) async fn begin_message(&self, request: Request<()>, body: Bytes) -> ResponseFuture {
        self.begin_with(request, body).await
    }

    /// Starts a call; the request stays unfinished until the returned stream is dropped.
    pub(in crate::server) async fn begin_unfinished(&self, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.begin_unfinished_request(request(method)).await
    }

    /// Sends a request that stays unfinished until the returned stream is dropped.
    pub(in crate::server) async fn begin_unfinished_request(
        &self,
        request: Request<()>,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut streams = with_timeout(self.streams.clone().ready()).await.unwrap();
        streams.send_request(request, false).unwrap()
    }

    async fn begin_with(&self, request: Request<()>, body: Bytes) -> ResponseFuture {
        let mut streams = with_timeout(self.streams.clone().ready()).await.unwrap();
        let (response, mut sending) = streams.send_request(request, body.is_empty()).unwrap();
        if !body.is_empty() {
            sending.send_data(body, true).unwrap();
        }
        response
    }

    /// Tells whether a call is answered.
    pub(in crate::server) async fn is_answered(&self) -> bool {
        let Ok(mut streams) = with_timeout(self.streams.clone().ready()).await else { return false };
        let Ok((response, _)) = streams.send_request(request("Echo"), true) else { return false };
        reply(response).await.is_ok()
    }

    /// Closes the connection.
    pub(in crate::server) async fn close(self) {
        drop(self.streams);
        with_timeout(self.connection).await.unwrap().unwrap();
    }

    /// Drops the connection without closing it.
    pub(in crate::server) fn abort(self) {
        self.connection.abort();
    }

    /// Tells whether the server has sent a GOAWAY.
    pub(in crate::server) async fn received_goaway(&self) -> bool {
        self.streams.clone().ready().await.is_err()
    }

    /// Returns how many concurrent streams the server allows.
    pub(in crate::server) fn max_streams(&self) -> usize {
        self.streams.current_max_send_streams()
    }

    /// Waits for the end of the connection; returns the error that ended it.
    pub(in crate::server) async fn closed(self) -> Result<(), h2::Error> {
        let connection = self.connection;
        // h2 would close the connection if there were no sender left.
        let _streams = self.streams;
        with_timeout(connection).await.unwrap()
    }
}

impl Reply {
    /// Returns the status code.
    pub(in crate::server) fn code(&self) -> Code {
        self.status().code()
    }

    /// Returns the reason of the ErrorInfo.
    pub(in crate::server) fn reason(&self) -> String {
        let info = self.status().get_details_error_info().expect("the server's own answers carry an ErrorInfo");
        assert_eq!(info.domain, "cloakroom");
        info.reason
    }

    /// Returns the status message.
    pub(in crate::server) fn message(&self) -> &str {
        self.status().message()
    }

    fn status(&self) -> &Status {
        self.status.as_ref().expect("the answer is gRPC")
    }
}

/// Builds a call as a gRPC client does.
pub(in crate::server) fn request(method: &str) -> Request<()> {
    Request::post(format!("http://localhost/test.Echo/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// Builds a call with another header.
pub(in crate::server) fn request_with(method: &str, name: &'static str, value: &str) -> Request<()> {
    let mut request = request(method);
    request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    request
}

/// Reads the complete answer of a started call.
pub(in crate::server) async fn reply(response: ResponseFuture) -> Result<Reply, h2::Error> {
    let (head, mut stream) = with_timeout(response).await?.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = with_timeout(stream.data()).await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let trailers: Option<HeaderMap> = with_timeout(stream.trailers()).await?;
    let status = Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers));
    Ok(Reply { http: head.status, body: body.freeze(), status })
}
