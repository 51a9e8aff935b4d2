//! Requests that are answered before they have been read.

use cloakroom::server::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::raw_http2::{DATA, END_HEADERS, END_STREAM, RST_STREAM, RawHttp2, frame, headers};
use super::support::test_server::{TestServer, eventually, settings, with_timeout};

/// Sends a request to an RPC that does not read it, with a part of its body, and returns the head of the response.
async fn response(connection: &mut TcpStream, length: usize, sent: usize) -> String {
    let head = format!(
        "POST /test.Echo/Unknown HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+proto\r\n\
         content-length: {length}\r\n\r\n"
    );
    let request = [head.into_bytes(), vec![b'x'; sent]].concat();
    with_timeout(connection.write_all(&request)).await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(with_timeout(connection.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(response).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
    with_timeout(connection.read_exact(&mut vec![0; length])).await.unwrap();
    head
}

#[tokio::test]
async fn a_request_that_was_not_read_does_not_disturb_the_next_one() {
    let server = TestServer::start(&settings()).await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();

    for length in [0, 10, 100_000, 500_000] {
        let head = response(&mut connection, length, length).await;

        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("connection: close"), "{length}: {head}");
    }
}

#[tokio::test]
async fn a_response_says_that_its_connection_ends_with_a_long_request() {
    let server = TestServer::start(&settings()).await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();

    let head = response(&mut connection, 1_000_000, 10).await;

    assert!(head.contains("connection: close\r\n"), "{head}");
    assert_eq!(with_timeout(connection.read(&mut [0])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_response_does_not_wait_for_a_request_that_goes_on_for_ever() {
    let server = TestServer::start(&settings()).await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();

    let head = response(&mut connection, 1000, 10).await;

    assert!(head.contains("connection: close\r\n"), "{head}");
}

/// Requests that are refused by their heads: a path, and headers.
const REFUSED: [(&str, &[(&str, &str)]); 5] = [
    ("/test.Echo/Echo", &[("origin", "null")]),
    // Two content types are none.
    ("/test.Echo/Echo", &[("content-type", "text/plain")]),
    ("/test.Echo/Echo", &[("grpc-timeout", "soon")]),
    ("/test.Echo/Unknown", &[]),
    ("/test.Echo/Unknown", &[("content-length", "65535")]),
];

/// Reads a response to its end. Returns whether the server reset its stream.
async fn is_reset(raw: &mut RawHttp2, stream: u32) -> bool {
    loop {
        let frame = raw.frame_of(stream).await;
        if frame.kind == RST_STREAM {
            return true;
        }
        if frame.flags & END_STREAM != 0 {
            return raw.taken_in().await.iter().any(|frame| frame.kind == RST_STREAM);
        }
    }
}

#[tokio::test]
async fn a_refusal_by_http_2_waits_for_the_body_that_follows_its_head() {
    let server = TestServer::start(&Settings { workers: 1, ..settings() }).await;

    for (path, more) in REFUSED {
        // A body that came too late is no fault of the server.
        eventually(async || {
            let mut raw = RawHttp2::connect_with_preface(server.address()).await;
            raw.send(&headers(1, path, END_HEADERS, more)).await;
            if !raw.taken_in().await.is_empty() {
                return false;
            }
            // 65535 bytes, the window of a stream whose client has not acknowledged the server's settings.
            let pieces = frame(DATA, 0, 1, &[0; 16 * 1024]).repeat(3);
            raw.send(&[pieces, frame(DATA, END_STREAM, 1, &[0; 16 * 1024 - 1])].concat()).await;
            !is_reset(&mut raw, 1).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_refusal_by_http_2_does_not_wait_for_a_body_that_does_not_come_or_is_long() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp2::connect_with_preface(server.address()).await;

    for (number, (path, more)) in (0..).zip(REFUSED) {
        raw.send(&headers(1 + 2 * number, path, END_HEADERS, more)).await;
        assert!(is_reset(&mut raw, 1 + 2 * number).await, "{path} {more:?}");
    }
    raw.send(&headers(101, "/test.Echo/Unknown", END_HEADERS, &[("content-length", "65537")])).await;
    assert!(is_reset(&mut raw, 101).await);
    // A message of 64 KiB and 1 byte.
    raw.send(&headers(103, "/test.Echo/Echo", END_HEADERS, &[("origin", "null")])).await;
    raw.send(&frame(DATA, 0, 103, &[0, 0, 1, 0, 1])).await;
    assert!(is_reset(&mut raw, 103).await);
}
