//! All floods, as data.

use std::sync::LazyLock;
use std::time::Duration;

use super::flood::{Flood, Reading};
use crate::server::raw_http1::post;
use crate::server::raw_http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, call, frame, header_block, header_block_of, headers, preface, reset, whole_call,
};
use crate::support::authority::first_message;

const OPEN: &str = "/cloakroom.v1.SessionService/OpenSession";
const LIST_SESSIONS: &str = "/cloakroom.v1.AdminService/ListSessions";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Ten connections that send as fast as they can, read all answers, and reconnect.
const PLAIN: Flood = Flood {
    name: "",
    connections: 10,
    begin: || preface(&[]),
    piece: |_, _| Vec::new(),
    pause: Duration::ZERO,
    reading: Reading::All,
};

pub(super) const FLOODS: &[Flood] = &[
    Flood {
        name: "opens, many times as many as can be answered",
        piece: |_, number| streams(number, |stream| whole_call(stream, OPEN, EMPTY)),
        ..PLAIN
    },
    Flood {
        name: "rapid reset",
        piece: |_, number| streams(number, |stream| [whole_call(stream, OPEN, EMPTY), reset(stream)].concat()),
        ..PLAIN
    },
    Flood {
        name: "calls that are reset before they are whole",
        piece: |_, number| streams(number, |stream| [call(stream, &[]), reset(stream)].concat()),
        ..PLAIN
    },
    Flood {
        name: "provoked resets: window overflow",
        piece: |_, number| {
            streams(number, |stream| [call(stream, &[]), window_update(stream, 0x7fff_ffff).repeat(2)].concat())
        },
        ..PLAIN
    },
    Flood {
        name: "provoked resets: bad headers",
        piece: |_, number| streams(number, |stream| call(stream, &[("connection", "close")])),
        ..PLAIN
    },
    Flood {
        name: "provoked resets: wrong content-length",
        piece: |_, number| {
            streams(number, |stream| {
                [call(stream, &[("content-length", "1")]), frame(DATA, END_STREAM, stream, &[0; 5])].concat()
            })
        },
        ..PLAIN
    },
    Flood { name: "streams above the limit", piece: |_, number| streams(number, |stream| call(stream, &[])), ..PLAIN },
    Flood {
        name: "CONTINUATION",
        begin: || [preface(&[]), frame(HEADERS, 0, 1, &header_block(OPEN, &[]))].concat(),
        piece: |_, _| frame(CONTINUATION, 0, 1, &[]).repeat(100),
        ..PLAIN
    },
    Flood {
        name: "tiny DATA",
        begin: || [preface(&[]), headers(1, OPEN, END_HEADERS, &[]), frame(DATA, 0, 1, &PREFIX_OF_A_MIB)].concat(),
        piece: |_, _| frame(DATA, 0, 1, &[0]).repeat(100),
        ..PLAIN
    },
    Flood {
        name: "empty DATA",
        begin: || [preface(&[]), headers(1, OPEN, END_HEADERS, &[])].concat(),
        piece: |_, _| frame(DATA, 0, 1, &[]).repeat(100),
        ..PLAIN
    },
    Flood { name: "PING", begin: called, piece: |_, _| frame(PING, 0, 0, &[0; 8]).repeat(100), ..PLAIN },
    Flood { name: "SETTINGS", begin: called, piece: |_, _| frame(SETTINGS, 0, 0, &[]).repeat(100), ..PLAIN },
    Flood { name: "WINDOW_UPDATE", begin: called, piece: |_, _| window_update(0, 1).repeat(100), ..PLAIN },
    Flood {
        name: "PRIORITY",
        begin: called,
        piece: |_, _| frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]).repeat(100),
        ..PLAIN
    },
    Flood {
        name: "RST_STREAM",
        begin: called,
        piece: |_, _| frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]).repeat(100),
        ..PLAIN
    },
    Flood { name: "unknown frames", begin: called, piece: |_, _| frame(0x42, 0, 0, &[]).repeat(100), ..PLAIN },
    Flood { name: "GOAWAY", begin: called, piece: |_, _| frame(GOAWAY, 0, 0, &[0; 8]).repeat(100), ..PLAIN },
    Flood {
        name: "header bomb",
        // The first stream puts a value of 4 KB into the table; the others name it again and again.
        begin: || {
            let value = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e], [b'y'; 4000].as_slice()].concat();
            [preface(&[]), frame(HEADERS, END_HEADERS, 1, &[header_block(OPEN, &[]), value].concat())].concat()
        },
        piece: |_, number| {
            streams(number + 1, |stream| {
                frame(HEADERS, END_HEADERS, stream, &[header_block(OPEN, &[]), vec![0xbe; 4000]].concat())
            })
        },
        ..PLAIN
    },
    Flood {
        name: "too many headers",
        piece: |_, number| {
            let many = [("x-many", "0123456789abcdef0123456789abcdef0123456789abcdef"); 200];
            streams(number, |stream| call(stream, &many))
        },
        ..PLAIN
    },
    Flood {
        name: "half-open calls that are refused",
        piece: |_, number| streams(number, |stream| call(stream, &[("origin", "null")])),
        ..PLAIN
    },
    Flood {
        name: "half-open calls that are given up",
        piece: |_, number| match number {
            0..5 => half_open(OPEN, number),
            _ => (number * 50..number * 50 + 50)
                .flat_map(|n| [reset(2 * n - 499), call(2 * n + 1, &[])].concat())
                .collect(),
        },
        ..PLAIN
    },
    Flood {
        name: "requests of 64 KB without their last byte",
        connections: 256,
        piece: |_, number| match number {
            // As many as the window of the connection allows.
            0..16 => {
                let body = [&[0, 0, 0, 0xff, 0xff], [0; 65_000].as_slice()].concat();
                let mut bytes = whole_call(2 * number + 1, OPEN, &body);
                // The last frame does not end the stream.
                let last = bytes.len() - (body.len() % 16_384) - 5;
                bytes[last] = 0;
                bytes
            }
            _ => Vec::new(),
        },
        ..PLAIN
    },
    Flood {
        name: "large requests, dripped",
        connections: 256,
        begin: || [preface(&[]), headers(1, OPEN, END_HEADERS, &[]), frame(DATA, 0, 1, &PREFIX_OF_A_MIB)].concat(),
        piece: |_, _| frame(DATA, 0, 1, &[0; 1000]),
        pause: Duration::from_millis(20),
        ..PLAIN
    },
    Flood {
        name: "answers that the window keeps back",
        connections: 256,
        begin: || preface(&[(INITIAL_WINDOW_SIZE, 0)]),
        piece: |material, number| limited_streams(number, |stream| whole_call(stream, OPEN, &material.large_open)),
        ..PLAIN
    },
    Flood {
        name: "answers that nobody reads",
        connections: 256,
        begin: || [preface(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]), window_update(0, 0x7fff_0000)].concat(),
        piece: |material, number| limited_streams(number, |stream| whole_call(stream, OPEN, &material.large_open)),
        reading: Reading::Nothing,
        ..PLAIN
    },
    Flood {
        name: "small answers that the window keeps back",
        connections: 256,
        begin: || preface(&[(INITIAL_WINDOW_SIZE, 0)]),
        piece: |_, number| limited_streams(number, |stream| whole_call(stream, HEALTH, EMPTY)),
        ..PLAIN
    },
    Flood {
        name: "unread reflection",
        connections: 256,
        begin: || preface(&[(INITIAL_WINDOW_SIZE, 0)]),
        piece: |_, number| {
            limited_streams(number, |stream| {
                let list_services = frame(DATA, 0, stream, &[0, 0, 0, 0, 2, 0x3a, 0]);
                [headers(stream, REFLECTION, END_HEADERS, &[]), list_services].concat()
            })
        },
        ..PLAIN
    },
    Flood {
        name: "lengths that lie",
        piece: |_, number| streams(number, |stream| whole_call(stream, OPEN, &[0, 0xff, 0xff, 0xff, 0xff, 1])),
        ..PLAIN
    },
    Flood {
        name: "compressed requests",
        piece: |_, number| streams(number, |stream| whole_call(stream, OPEN, &[1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0])),
        ..PLAIN
    },
    Flood { name: "silent connections", connections: 256, begin: Vec::new, ..PLAIN },
    Flood {
        name: "slow prefaces",
        connections: 256,
        begin: || b"PRI * HTTP".to_vec(),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood { name: "connections that end at once", begin: Vec::new, reading: Reading::Disconnect, ..PLAIN },
    Flood { name: "prefaces that end at once", reading: Reading::Disconnect, ..PLAIN },
    Flood {
        name: "HTTP/1.1: pages that there are not",
        begin: Vec::new,
        piece: |_, _| b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: slow heads",
        connections: 256,
        begin: || http1_head(OPEN, ""),
        piece: |_, _| b"x".to_vec(),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: slow heads behind a call",
        connections: 256,
        begin: || [post(OPEN, &[]), b"POST /x".to_vec()].concat(),
        piece: |_, _| b"x".to_vec(),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: endless heads",
        begin: || http1_head(OPEN, ""),
        piece: |_, number| format!("x-{number}: {}\r\n", "y".repeat(200)).into_bytes(),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: slow bodies",
        connections: 256,
        begin: || http1_head(OPEN, "content-length: 60000\r\n\r\n"),
        piece: |_, _| b"x".to_vec(),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: large bodies, dripped",
        connections: 256,
        begin: || http1_head(OPEN, "content-length: 1000000\r\n\r\n"),
        piece: |_, _| vec![0; 1000],
        pause: Duration::from_millis(20),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: bodies of 64 KB without their last byte",
        connections: 256,
        begin: || http1_head(OPEN, "content-length: 65000\r\n\r\n"),
        piece: |_, number| if number == 0 { vec![0; 64_999] } else { Vec::new() },
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: chunks of one byte",
        begin: || http1_head(OPEN, "transfer-encoding: chunked\r\n\r\n"),
        piece: |_, _| b"1\r\nx\r\n".repeat(1000),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: chunk extensions",
        begin: || http1_head(OPEN, "transfer-encoding: chunked\r\n\r\n"),
        piece: |_, _| [b"1;".as_slice(), &[b'e'; 2000], b"\r\nx\r\n"].concat(),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: endless trailers",
        begin: || http1_head(OPEN, "transfer-encoding: chunked\r\n\r\n0\r\n"),
        piece: |_, number| format!("x-{number}: y\r\n").into_bytes(),
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: refused requests with large bodies",
        begin: || http1_head(OPEN, "content-length: 1000000000\r\n\r\n"),
        piece: |_, _| vec![0; 64_000],
        ..PLAIN
    },
    Flood { name: "HTTP/1.1: pipelined opens", begin: Vec::new, piece: |_, _| post(OPEN, &[]).repeat(100), ..PLAIN },
    Flood {
        name: "HTTP/1.1: pipelined opens that nobody reads",
        begin: Vec::new,
        piece: |_, _| post(OPEN, &[]).repeat(100),
        reading: Reading::Nothing,
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: large answers that nobody reads",
        connections: 256,
        begin: Vec::new,
        // Without the prefix of gRPC.
        piece: |material, _| post(OPEN, &material.large_open[5..]).repeat(10),
        reading: Reading::Nothing,
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: a connection for each call",
        begin: Vec::new,
        piece: |_, _| post(OPEN, &[]),
        reading: Reading::Disconnect,
        ..PLAIN
    },
    Flood {
        name: "HTTP/1.1: idle connections",
        connections: 900,
        begin: || post(OPEN, &[]),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood { name: "garbage", begin: Vec::new, piece: |_, number| vec![number.to_le_bytes()[0]; 4096], ..PLAIN },
    Flood { name: "garbage after the preface", piece: |_, number| vec![number.to_le_bytes()[0]; 4096], ..PLAIN },
];

/// Floods of calls that never end, so many that a service would need hundreds of MiB for all of them.
pub(super) const UNFINISHED_FLOODS: &[Flood] = &[
    Flood { name: "half-open calls", connections: 256, piece: |_, number| half_open(OPEN, number), ..PLAIN },
    Flood { name: "half-open health checks", connections: 256, piece: |_, number| half_open(HEALTH, number), ..PLAIN },
    Flood {
        name: "half-open health checks with many long headers",
        connections: 256,
        piece: |_, number| with_headers(number, 60, &"x".repeat(100)),
        ..PLAIN
    },
    Flood {
        name: "half-open health checks with hundreds of empty headers",
        connections: 256,
        piece: |_, number| with_headers(number, 255, ""),
        ..PLAIN
    },
    Flood {
        name: "watches of the health that nobody reads",
        connections: 64,
        piece: |_, number| limited_streams(number, |stream| whole_call(stream, HEALTH_WATCH, EMPTY)),
        reading: Reading::Nothing,
        ..PLAIN
    },
    Flood {
        name: "half-open calls of reflection",
        connections: 256,
        piece: |_, number| half_open(REFLECTION, number),
        ..PLAIN
    },
    Flood {
        name: "calls of reflection whose answers nobody reads",
        connections: 256,
        piece: |_, number| limited_streams(number, |stream| whole_call(stream, REFLECTION, &LIST_SERVICES.repeat(3))),
        reading: Reading::Nothing,
        ..PLAIN
    },
    Flood {
        name: "calls that announce 64 KB and send none of it",
        connections: 256,
        piece: |_, number| {
            limited_streams(number, |stream| {
                [headers(stream, OPEN, END_HEADERS, &[]), frame(DATA, 0, stream, &[0, 0, 0, 0xff, 0xff])].concat()
            })
        },
        ..PLAIN
    },
    Flood {
        name: "calls of Connect that announce 64 KB and send a byte of it",
        connections: 256,
        piece: |_, number| {
            limited_streams(number, |stream| {
                let block = header_block_of(OPEN, "application/proto", &[("content-length", "65000")]);
                [frame(HEADERS, END_HEADERS, stream, &block), frame(DATA, 0, stream, &[0])].concat()
            })
        },
        ..PLAIN
    },
];

/// Floods of the listener for operators, which has fewer connections and one thread.
pub(super) const OPERATOR_FLOODS: &[Flood] = &[
    Flood { name: "silent connections", connections: 256, begin: Vec::new, ..PLAIN },
    Flood {
        name: "connections that end at once",
        connections: 256,
        begin: Vec::new,
        reading: Reading::Disconnect,
        ..PLAIN
    },
    Flood {
        name: "garbage",
        connections: 256,
        begin: Vec::new,
        piece: |_, number| vec![number.to_le_bytes()[0]; 4096],
        ..PLAIN
    },
    Flood {
        name: "slow heads",
        connections: 256,
        begin: || b"GET /readyz HTTP/1.1\r\nx: ".to_vec(),
        piece: |_, _| b"x".to_vec(),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood {
        name: "idle connections behind a page",
        connections: 256,
        begin: || get("/healthz"),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood {
        // As many as the listener takes in all. Without the limit of one address there would be no place for the probes.
        name: "idle connections behind a call",
        connections: 128,
        begin: || post(LIST_SESSIONS, &[]),
        pause: Duration::from_millis(100),
        ..PLAIN
    },
    Flood {
        name: "pipelined probes",
        connections: 256,
        begin: Vec::new,
        piece: |_, _| get("/readyz").repeat(100),
        ..PLAIN
    },
    Flood { name: "pipelined metrics", begin: Vec::new, piece: |_, _| get("/metrics").repeat(10), ..PLAIN },
    Flood {
        name: "metrics that nobody reads",
        connections: 256,
        begin: Vec::new,
        piece: |_, _| get("/metrics").repeat(100),
        reading: Reading::Nothing,
        ..PLAIN
    },
    Flood {
        name: "a connection for each page",
        connections: 256,
        begin: Vec::new,
        piece: |_, _| get("/metrics"),
        reading: Reading::Disconnect,
        ..PLAIN
    },
    Flood { name: "half-open calls", connections: 256, piece: |_, number| half_open(LIST_SESSIONS, number), ..PLAIN },
    Flood {
        name: "lists",
        piece: |_, number| streams(number, |stream| whole_call(stream, LIST_SESSIONS, EMPTY)),
        ..PLAIN
    },
    Flood {
        name: "lists whose answers nobody reads",
        connections: 256,
        begin: || preface(&[(INITIAL_WINDOW_SIZE, 0)]),
        piece: |_, number| limited_streams(number, |stream| whole_call(stream, LIST_SESSIONS, EMPTY)),
        reading: Reading::Nothing,
        ..PLAIN
    },
];

/// Floods of a listener with TLS.
pub(super) const TLS_FLOODS: &[Flood] = &[
    Flood { name: "silent connections", connections: 256, begin: Vec::new, ..PLAIN },
    Flood { name: "half a ClientHello", connections: 256, begin: || client_hello()[..100].to_vec(), ..PLAIN },
    Flood { name: "handshakes that are not finished", connections: 256, begin: client_hello, ..PLAIN },
    // The answer to a ClientHello takes the service more work than its sender.
    Flood { name: "handshakes that break", begin: client_hello, piece: |_, _| vec![0; 5], ..PLAIN },
    Flood { name: "HTTP/2 without TLS", ..PLAIN },
    Flood { name: "garbage", begin: Vec::new, piece: |_, number| vec![number.to_le_bytes()[0]; 4096], ..PLAIN },
];

/// The first message of a TLS handshake.
fn client_hello() -> Vec<u8> {
    static CLIENT_HELLO: LazyLock<Vec<u8>> = LazyLock::new(first_message);
    CLIENT_HELLO.clone()
}

/// An empty message, with its prefix.
const EMPTY: &[u8] = &[0; 5];

/// A message that asks reflection for all services, with its prefix.
const LIST_SERVICES: [u8; 8] = [0, 0, 0, 0, 3, 0x3a, 1, b'*'];

/// The prefix of a message of 1 MiB.
const PREFIX_OF_A_MIB: [u8; 5] = [0, 0, 0x10, 0, 0];

/// Returns the preface and a first call.
fn called() -> Vec<u8> {
    [preface(&[]), whole_call(1, OPEN, EMPTY)].concat()
}

/// Builds something for each of 50 streams that the pieces before have not used.
fn streams(number: u32, make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (number * 50..number * 50 + 50).flat_map(|stream| make(2 * stream + 1)).collect()
}

/// Builds the request for a page.
fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// Builds the head of a call by HTTP/1.1, with more headers.
fn http1_head(path: &str, headers: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\n{headers}").into_bytes()
}

/// Builds something for each of 250 streams in five pieces, and nothing afterwards.
fn limited_streams(number: u32, make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    if number < 5 { streams(number, make) } else { Vec::new() }
}

/// Builds 250 half-open calls.
fn half_open(path: &str, number: u32) -> Vec<u8> {
    limited_streams(number, |stream| headers(stream, path, END_HEADERS, &[]))
}

/// Builds 250 half-open health checks with so many headers of this value.
fn with_headers(number: u32, count: u8, value: &str) -> Vec<u8> {
    let names: Vec<String> = (0..count).map(|n| format!("{}{}", char::from(b'a' + n % 26), n / 26)).collect();
    let more: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value)).collect();
    limited_streams(number, |stream| headers(stream, HEALTH, END_HEADERS, &more))
}

fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}
