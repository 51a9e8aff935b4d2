//! A load generator: one call after the other on every stream, with a check of each response.
//!
//! It has one thread, and the `h2` crate for gRPC or plain sockets for HTTP/1.1, so that it costs less than what it
//! measures.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use clap::{Args, ValueEnum};
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Request, Uri, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

use crate::{Result, print};

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Address of the server
    #[arg(long)]
    address: SocketAddr,
    /// /package.Service/Method
    #[arg(long)]
    path: String,
    /// A file of gRPC messages, each with its prefix of five bytes
    #[arg(long)]
    messages: PathBuf,
    #[arg(long)]
    connections: usize,
    /// Calls at once on each connection
    #[arg(long)]
    streams: usize,
    /// How to call. HTTP/1.1 has one call at once on each connection
    #[arg(long, value_enum, default_value_t = Protocol::Grpc)]
    protocol: Protocol,
    /// Seconds to run
    #[arg(long, default_value_t = 3600.0)]
    seconds: f64,
    /// Calls after which it ends, if it does so before the time is over
    #[arg(long, default_value_t = u64::MAX)]
    calls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Grpc,
    /// Connect with protobuf, by HTTP/1.1
    Connect,
}

impl Load {
    pub(crate) fn run(&self) -> Result {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.call_all())
    }

    async fn call_all(&self) -> Result {
        let uri = format!("http://{}{}", self.address, self.path).parse::<Uri>()?;
        let messages = messages(&std::fs::read(&self.messages)?).ok_or("the file does not hold whole messages")?;
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(match self.protocol {
                Protocol::Grpc => Connection::Http2(connect(self.address).await?),
                Protocol::Connect => Connection::Http1(Http1::connect(self.address).await?),
            });
        }
        let begin = Instant::now();
        let shared = Rc::new(Shared {
            uri,
            messages,
            end: begin + Duration::from_secs_f64(self.seconds),
            left: Cell::new(self.calls),
            micros: RefCell::default(),
            failures: RefCell::default(),
        });
        let mut callers = JoinSet::new();
        for connection in connections {
            match connection {
                Connection::Http1(http1) => _ = callers.spawn_local(Rc::clone(&shared).call_by_http1(http1)),
                Connection::Http2(http2) => {
                    for _ in 0..self.streams {
                        callers.spawn_local(Rc::clone(&shared).call_by_http2(http2.clone()));
                    }
                }
            }
        }
        callers.join_all().await;
        print(&shared.result(begin.elapsed()));
        Ok(())
    }
}

/// The state that all callers share.
struct Shared {
    uri: Uri,
    messages: Vec<Bytes>,
    end: Instant,
    left: Cell<u64>,
    micros: RefCell<Vec<u32>>,
    failures: RefCell<BTreeMap<String, u64>>,
}

impl Shared {
    async fn call_by_http2(self: Rc<Self>, mut connection: SendRequest<Bytes>) {
        while let Some(message) = self.next() {
            let begin = Instant::now();
            self.record(begin, self.call(&mut connection, message).await);
        }
    }

    async fn call_by_http1(self: Rc<Self>, mut connection: Http1) {
        while let Some(message) = self.next() {
            let begin = Instant::now();
            self.record(begin, connection.call(self.uri.path(), &message[PREFIX..]).await);
        }
    }

    fn record(&self, begin: Instant, called: Result<(), String>) {
        match called {
            Ok(()) => self.micros.borrow_mut().push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX)),
            Err(error) => *self.failures.borrow_mut().entry(error).or_default() += 1,
        }
    }

    fn next(&self) -> Option<Bytes> {
        let left = self.left.get().checked_sub(1).filter(|_| Instant::now() < self.end)?;
        self.left.set(left);
        let number = (u64::MAX - left) % self.messages.len() as u64;
        Some(self.messages[number as usize].clone())
    }

    /// Fails unless the response is complete and its status is OK.
    async fn call(&self, connection: &mut SendRequest<Bytes>, message: Bytes) -> Result<(), String> {
        let request = Request::post(self.uri.clone()).version(Version::HTTP_2);
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let request = request.body(()).map_err(|error| error.to_string())?;
        let failed = |error: h2::Error| error.to_string();
        let mut ready = connection.clone().ready().await.map_err(failed)?;
        let (response, mut stream) = ready.send_request(request, false).map_err(failed)?;
        stream.send_data(message, true).map_err(failed)?;
        let (head, mut body) = response.await.map_err(failed)?.into_parts();
        while let Some(data) = body.data().await {
            let length = data.map_err(failed)?.len();
            body.flow_control().release_capacity(length).map_err(failed)?;
        }
        match body.trailers().await.map_err(failed)? {
            Some(trailers) => status(&trailers),
            None => status(&head.headers),
        }
    }

    fn result(&self, elapsed: Duration) -> serde_json::Value {
        let mut micros = self.micros.take();
        micros.sort_unstable();
        let percentile = |share: usize| micros.get(micros.len() * share / 100).map(|micros| f64::from(*micros) / 1e3);
        let failures = self.failures.take();
        serde_json::json!({
            "calls": micros.len(),
            "rate": micros.len() as f64 / elapsed.as_secs_f64(),
            "p50": percentile(50),
            "p99": percentile(99),
            "errors": failures.values().sum::<u64>(),
            "why": failures.iter().map(|(error, count)| format!("{count} times {error}")).collect::<Vec<_>>(),
        })
    }
}

enum Connection {
    Http1(Http1),
    Http2(SendRequest<Bytes>),
}

/// A connection by HTTP/1.1, with one call at a time.
struct Http1 {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Http1 {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    /// Fails unless the status is 200 and the body as long as the head says.
    async fn call(&mut self, path: &str, message: &[u8]) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        self.buffer.clear();
        let length = message.len();
        write!(
            self.buffer,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\ncontent-length: {length}\r\n\r\n"
        )
        .map_err(failed)?;
        self.buffer.extend_from_slice(message);
        self.socket.write_all(&self.buffer).await.map_err(failed)?;
        self.buffer.clear();
        loop {
            if self.socket.read_buf(&mut self.buffer).await.map_err(failed)? == 0 {
                return Err("the connection was closed".to_owned());
            }
            let Some(head) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.buffer[..head]).map_err(|error| error.to_string())?;
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if !text.starts_with("HTTP/1.1 200 ") || length.is_none() {
                return Err(text.to_owned());
            }
            if length == Some(self.buffer.len() - head - 4) {
                return Ok(());
            }
        }
    }
}

fn status(headers: &HeaderMap) -> Result<(), String> {
    match headers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        _ => Err(format!("grpc-status {:?}: {:?}", headers.get("grpc-status"), headers.get("grpc-message"))),
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut builder = Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
    let (requests, connection) = builder.handshake(socket).await?;
    // An error of the connection is also the error of every call on it.
    tokio::task::spawn_local(async { drop(connection.await) });
    Ok(requests)
}

/// Splits a file into messages. Returns `None` if the last one is cut.
fn messages(mut file: &[u8]) -> Option<Vec<Bytes>> {
    let mut messages = Vec::new();
    while !file.is_empty() {
        let mut length = file.get(1..5)?;
        let (message, rest) = file.split_at_checked(5 + usize::try_from(length.get_u32()).ok()?)?;
        messages.push(Bytes::copy_from_slice(message));
        file = rest;
    }
    Some(messages)
}

/// The length of a prefix.
const PREFIX: usize = 5;

/// Flow control never limits the load with this window, in bytes.
const WINDOW: u32 = 8 * 1024 * 1024;
