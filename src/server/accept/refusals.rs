//! The refusals of connections over the limits: a line in the log, and a short answer for those who speak HTTP/1.1.
//!
//! A refusal must not cost what the limits save, so only a few peers at once are answered, and each for a short time. A
//! client of HTTP/2 gets nothing: without a handshake it waits before it connects again.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time;

use crate::server::connection::Socket;
use crate::server::context::ServerContext;
use crate::server::http_versions::HttpVersions;
use crate::server::limits::TooMany;
use crate::telemetry::LogThrottle;

/// The refusals of one server.
#[derive(Debug)]
pub(super) struct Refusals {
    throttle: LogThrottle,
    /// The peers that are being answered. They are dropped with this.
    answered: JoinSet<()>,
    max_answered: usize,
}

impl Refusals {
    pub(super) fn new(context: &ServerContext) -> Self {
        // An answer behind a TLS handshake would cost as much as a call.
        let speaks_http1 = context.tls.is_none() && context.versions == HttpVersions::Both;
        let max_answered = if speaks_http1 { MAX_ANSWERED } else { 0 };
        Self { throttle: LogThrottle::new(), answered: JoinSet::new(), max_answered }
    }

    /// Closes a connection.
    pub(super) fn refuse(&mut self, socket: Socket, too_many: TooMany) {
        if let Some(count) = self.throttle.count() {
            tracing::warn!(connections.refused = count, "connections are refused: {}", too_many.text());
        }
        while self.answered.try_join_next().is_some() {}
        if self.answered.len() < self.max_answered {
            self.answered.spawn(async move {
                let answered = time::timeout(TIME_TO_ANSWER, answer_socket(socket, too_many)).await;
                tracing::debug!(was_answered = matches!(answered, Ok(Ok(()))), "a connection was refused");
            });
        }
    }
}

impl TooMany {
    const fn text(self) -> &'static str {
        match self {
            Self::InTotal => "there are as many as max_connections allows",
            Self::OfPeer => "one address has as many as max_connections_per_peer allows",
        }
    }
}

async fn answer_socket(socket: Socket, too_many: TooMany) -> io::Result<()> {
    match socket {
        Socket::Tcp(socket) => answer(TcpStream::from_std(socket)?, too_many).await,
        Socket::Unix(socket) => answer(UnixStream::from_std(socket)?, too_many).await,
    }
}

/// Answers the first request, if it is one of HTTP/1.1, and waits for the peer to close.
async fn answer(mut io: impl AsyncRead + AsyncWrite + Unpin, too_many: TooMany) -> io::Result<()> {
    let mut read = [0; 4096];
    let length = io.read(&mut read).await?;
    if length == 0 || read.starts_with(b"PRI") {
        return Ok(());
    }
    let body = format!("{{\"code\":\"unavailable\",\"message\":\"connections are refused: {}\"}}", too_many.text());
    let length = body.len();
    io.write_all(format!("{HEAD}content-length: {length}\r\n\r\n{body}").as_bytes()).await?;
    io.shutdown().await?;
    // A close before all is read would reset the connection, and the peer might lose the answer.
    while io.read(&mut read).await? > 0 {}
    Ok(())
}

const HEAD: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n";

/// More peers at once are refused without an answer. Each takes a file and a few KiB.
const MAX_ANSWERED: usize = 64;

const TIME_TO_ANSWER: Duration = Duration::from_millis(500);
