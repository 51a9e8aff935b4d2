//! Hand-written HTTP/2, for peers that break the rules.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::test_server::with_timeout;

/// A socket that sends any bytes and answers nothing by itself.
#[derive(Debug)]
pub(crate) struct RawHttp2(TcpStream);

/// A received frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl RawHttp2 {
    /// Connects and sends nothing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Uses a connected socket.
    pub(crate) fn over(socket: TcpStream) -> Self {
        Self(socket)
    }

    /// Connects and sends the preface, as every client does first.
    pub(crate) async fn connect_with_preface(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send_preface().await;
        raw
    }

    /// Sends the preface.
    pub(crate) async fn send_preface(&mut self) {
        self.send(&preface(&[])).await;
    }

    /// Connects and sends the preface, with settings by number.
    pub(crate) async fn connect_with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(&preface(settings)).await;
        raw
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Sends bytes, which the server may not read to the end, and reads until it closes.
    ///
    /// Returns the code of its GOAWAY.
    pub(crate) async fn flood(self, bytes: Vec<u8>) -> Option<u32> {
        let (read, mut write) = self.0.into_split();
        // The server may close while this still writes.
        let flood = tokio::spawn(async move { (write.write_all(&bytes).await, write) });
        let code = goaway_code(read).await;
        flood.abort();
        code
    }

    /// Waits until a stream is refused; returns its number.
    pub(crate) async fn refused(&mut self) -> u32 {
        loop {
            let frame = with_timeout(next(&mut self.0)).await.expect("one refused stream does not end a connection");
            if frame.kind == RST_STREAM && frame.payload == REFUSED_STREAM.to_be_bytes() {
                return frame.stream;
            }
        }
    }

    /// Waits until the headers of a response arrive.
    pub(crate) async fn answered(&mut self) {
        while with_timeout(next(&mut self.0)).await.expect("the connection is open").kind != HEADERS {}
    }

    /// Reads the next frame of a stream. Panics if there is none for a minute.
    pub(crate) async fn frame_of(&mut self, stream: u32) -> Frame {
        loop {
            let frame = self.next_frame().await;
            if frame.stream == stream {
                return frame;
            }
        }
    }

    /// Reads the next frame. Panics if there is none for a minute.
    pub(crate) async fn next_frame(&mut self) -> Frame {
        with_timeout(next(&mut self.0)).await.expect("the connection is open")
    }

    /// Waits until the server has taken in what was sent before. Returns the frames of streams that it sent meanwhile.
    pub(crate) async fn taken_in(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        // The first answer may overtake a response that is being made.
        for _ in 0..10 {
            self.send(&frame(PING, 0, 0, &[0; 8])).await;
            loop {
                let frame = with_timeout(next(&mut self.0)).await.expect("the connection is open");
                match frame.kind {
                    PING => break,
                    _ if frame.stream > 0 => frames.push(frame),
                    _ => {}
                }
            }
        }
        frames
    }

    /// Reads until the server closes; returns the code of its GOAWAY.
    pub(crate) async fn ended(self) -> Option<u32> {
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
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// Builds a half-open call of Wait on a new stream.
pub(crate) fn call(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    headers(stream, "/test.Echo/Wait", END_HEADERS, more)
}

/// Builds the HEADERS of a call.
pub(crate) fn headers(stream: u32, path: &str, flags: u8, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &header_block(path, more))
}

/// Builds the header block of a call by gRPC.
pub(crate) fn header_block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    header_block_of(path, "application/grpc", more)
}

/// Builds the header block of a call with a content type.
pub(crate) fn header_block_of(path: &str, content_type: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", content_type),
        ("te", "trailers"),
    ];
    headers.iter().chain(more).flat_map(|(name, value)| literal(name, value)).collect()
}

/// Builds a whole call: its HEADERS and its body.
pub(crate) fn whole_call(stream: u32, path: &str, body: &[u8]) -> Vec<u8> {
    let mut frames = headers(stream, path, END_HEADERS, &[]);
    let pieces = body.chunks(16 * 1024).count();
    for (number, piece) in body.chunks(16 * 1024).enumerate() {
        frames.extend(frame(DATA, if number + 1 == pieces { END_STREAM } else { 0 }, stream, piece));
    }
    frames
}

/// Builds the preface and the SETTINGS of a client.
pub(crate) fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let pairs = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    let settings = frame(SETTINGS, 0, 0, &pairs.collect::<Vec<_>>());
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings.as_slice()].concat()
}

/// Builds a reset of a stream.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// Returns the stream numbers of a client.
pub(crate) fn streams() -> impl Iterator<Item = u32> {
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

/// Builds a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of tests are short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The number of a setting: how many bytes the server may send on a new stream.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
const REFUSED_STREAM: u32 = 7;

/// The code of an orderly GOAWAY.
pub(crate) const NO_ERROR: u32 = 0;
/// The code of a GOAWAY to an abusive peer.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
