//! A client that shows what HTTP/2 says, where a gRPC library would hide it.

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

use super::test_server::soon;

/// One connection.
#[derive(Debug)]
pub(in crate::server) struct Client {
    streams: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
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

    /// Speaks over a connected socket.
    pub(in crate::server) async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::try_over(io).await.unwrap()
    }

    /// Speaks over a connected socket that the server may have closed.
    pub(in crate::server) async fn try_over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Option<Self> {
        let (streams, connection) = h2::client::handshake(io).await.ok()?;
        Some(Self { streams, connection: tokio::spawn(connection) })
    }

    /// Calls a method of the echo service.
    pub(in crate::server) async fn call(&self, method: &str) -> Reply {
        self.send(request(method), Bytes::new()).await
    }

    /// Sends a request and waits for the whole answer.
    pub(in crate::server) async fn send(&self, request: Request<()>, body: Bytes) -> Reply {
        reply(self.begin_with(request, body).await).await.unwrap()
    }

    /// Calls a method of the echo service and does not wait.
    pub(in crate::server) async fn begin(&self, method: &str) -> ResponseFuture {
        self.begin_with(request(method), Bytes::new()).await
    }

    /// Sends a request without a body and does not wait.
    pub(in crate::server) async fn begin_request(&self, request: Request<()>) -> ResponseFuture {
        self.begin_with(request, Bytes::new()).await
    }

    /// Sends a request with a body and does not wait.
    pub(in crate::server) async fn begin_message(&self, request: Request<()>, body: Bytes) -> ResponseFuture {
        self.begin_with(request, body).await
    }

    /// Calls a method and leaves the request open for as long as the second answer lives.
    pub(in crate::server) async fn begin_unfinished(&self, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.begin_unfinished_request(request(method)).await
    }

    /// Sends a request and leaves it open for as long as the second answer lives.
    pub(in crate::server) async fn begin_unfinished_request(
        &self,
        request: Request<()>,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut streams = soon(self.streams.clone().ready()).await.unwrap();
        streams.send_request(request, false).unwrap()
    }

    async fn begin_with(&self, request: Request<()>, body: Bytes) -> ResponseFuture {
        let mut streams = soon(self.streams.clone().ready()).await.unwrap();
        let (response, mut sending) = streams.send_request(request, body.is_empty()).unwrap();
        if !body.is_empty() {
            sending.send_data(body, true).unwrap();
        }
        response
    }

    /// Whether a call gets through.
    pub(in crate::server) async fn is_answered(&self) -> bool {
        let Ok(mut streams) = soon(self.streams.clone().ready()).await else { return false };
        let Ok((response, _)) = streams.send_request(request("Echo"), true) else { return false };
        reply(response).await.is_ok()
    }

    /// Closes the connection.
    pub(in crate::server) async fn hang_up(self) {
        drop(self.streams);
        soon(self.connection).await.unwrap().unwrap();
    }

    /// Is gone, without a word.
    pub(in crate::server) fn vanish(self) {
        self.connection.abort();
    }

    /// Whether the server has said that it takes no further calls.
    pub(in crate::server) async fn was_told_to_go(&self) -> bool {
        self.streams.clone().ready().await.is_err()
    }

    /// How many calls the server allows at once.
    pub(in crate::server) fn max_streams(&self) -> usize {
        self.streams.current_max_send_streams()
    }

    /// Waits for the end of the connection, and says what ended it.
    pub(in crate::server) async fn closed(self) -> Result<(), h2::Error> {
        let connection = self.connection;
        // h2 keeps a connection open that it could still send on.
        let _streams = self.streams;
        soon(connection).await.unwrap()
    }
}

impl Reply {
    /// The answer's code.
    pub(in crate::server) fn code(&self) -> Code {
        self.status().code()
    }

    /// The reason for the caller's program.
    pub(in crate::server) fn reason(&self) -> String {
        let info = self.status().get_details_error_info().expect("the server's own answers carry an ErrorInfo");
        assert_eq!(info.domain, "cloakroom");
        info.reason
    }

    /// The message for the caller's developer.
    pub(in crate::server) fn message(&self) -> &str {
        self.status().message()
    }

    fn status(&self) -> &Status {
        self.status.as_ref().expect("the answer is gRPC")
    }
}

/// A call as a gRPC client makes it.
pub(in crate::server) fn request(method: &str) -> Request<()> {
    Request::post(format!("http://test/test.Echo/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// The same with another header.
pub(in crate::server) fn request_with(method: &str, name: &'static str, value: &str) -> Request<()> {
    let mut request = request(method);
    request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    request
}

/// The whole answer to a call that has begun.
pub(in crate::server) async fn reply(response: ResponseFuture) -> Result<Reply, h2::Error> {
    let (head, mut stream) = soon(response).await?.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = soon(stream.data()).await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let trailers: Option<HeaderMap> = soon(stream.trailers()).await?;
    let status = Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers));
    Ok(Reply { http: head.status, body: body.freeze(), status })
}
