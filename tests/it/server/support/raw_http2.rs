//! Hand-written HTTP/2, for peers that break the rules.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::test_server::with_timeout;

/// A socket that sends any bytes and answers nothing by itself.
#[derive(Debug)]
pub(in crate::server) struct RawHttp2(TcpStream);

/// A received frame.
#[derive(Debug)]
pub(in crate::server) struct Frame {
    pub(in crate::server) kind: u8,
    pub(in crate::server) stream: u32,
    pub(in crate::server) payload: Vec<u8>,
}

impl RawHttp2 {
    /// Connects and sends nothing.
    pub(in crate::server) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Uses a connected socket.
    pub(in crate::server) fn over(socket: TcpStream) -> Self {
        Self(socket)
    }

    /// Connects and sends the preface, as every client does first.
    pub(in crate::server) async fn connect_with_preface(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send_preface().await;
        raw
    }

    /// Sends the preface.
    pub(in crate::server) async fn send_preface(&mut self) {
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        self.send(&frame(SETTINGS, 0, 0, &[])).await;
    }

    /// Sends bytes.
    pub(in crate::server) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Sends bytes, which the server may not read to the end, and reads until it closes.
    ///
    /// Returns the code of its GOAWAY.
    pub(in crate::server) async fn flood(self, bytes: Vec<u8>) -> Option<u32> {
        let (read, mut write) = self.0.into_split();
        // The server may close while this still writes.
        let flood = tokio::spawn(async move { (write.write_all(&bytes).await, write) });
        let code = goaway_code(read).await;
        flood.abort();
        code
    }

    /// Waits until a stream is refused; returns its number.
    pub(in crate::server) async fn refused(&mut self) -> u32 {
        loop {
            let frame = with_timeout(next(&mut self.0)).await.expect("one refused stream does not end a connection");
            if frame.kind == RST_STREAM && frame.payload == REFUSED_STREAM.to_be_bytes() {
                return frame.stream;
            }
        }
    }

    /// Reads until the server closes; returns the code of its GOAWAY.
    pub(in crate::server) async fn ended(self) -> Option<u32> {
        let (read, _write) = self.0.into_split();
        goaway_code(read).await
    }
}

async fn goaway_code(mut read: impl AsyncRead + Unpin) -> Option<u32> {
    let mut code = None;
    while let Some(frame) = with_timeout(next(&mut read)).await {
        if frame.kind == GOAWAY {
            code = frame.payload.get(4..8).map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
        }
    }
    code
}

/// Reads the next frame; `None` when the server has closed.
async fn next(read: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    read.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind: head[3], stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload })
}

/// Builds a call of Wait on a new stream.
pub(in crate::server) fn call(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", "/test.Echo/Wait"),
        ("content-type", "application/grpc"),
    ];
    let block: Vec<u8> = headers.iter().chain(more).flat_map(|(name, value)| literal(name, value)).collect();
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// Builds a reset of a stream.
pub(in crate::server) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// Returns the stream numbers of a client.
pub(in crate::server) fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// Encodes a header in HPACK's simplest form: not indexed, not compressed.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
        [&[length.expect("headers of tests are short")], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of tests are short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

/// The code of an orderly GOAWAY.
pub(in crate::server) const NO_ERROR: u32 = 0;
/// The code of a GOAWAY to an abusive peer.
pub(in crate::server) const ENHANCE_YOUR_CALM: u32 = 11;
