//! Hostile peers: an attack ends its own connection and does not disturb others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cloakroom::server::Settings;
use http::StatusCode;
use tonic::Code;

use super::support::client::request_with;
use super::support::raw_http2::{ENHANCE_YOUR_CALM, RawHttp2, call, reset, streams};
use super::support::test_server::{TestServer, settings};

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let server = TestServer::start(&settings()).await;
    let flood: Vec<u8> = streams().take(3000).flat_map(|stream| [call(stream, &[]), reset(stream)].concat()).collect();

    let code = RawHttp2::connect_with_preface(server.address()).await.flood(flood).await;

    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn provoked_resets_end_the_connection() {
    let server = TestServer::start(&settings()).await;
    let malformed = |stream| call(stream, &[("connection", "close")]);
    let flood: Vec<u8> = streams().take(3000).flat_map(malformed).collect();

    let code = RawHttp2::connect_with_preface(server.address()).await.flood(flood).await;

    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_flood_does_not_disturb_other_connections() {
    let server = TestServer::start(&Settings { workers: 1, ..settings() }).await;
    let client = server.client().await;
    let flood: Vec<u8> = streams().take(3000).flat_map(|stream| [call(stream, &[]), reset(stream)].concat()).collect();
    let flood = tokio::spawn(RawHttp2::connect_with_preface(server.address()).await.flood(flood));

    while !flood.is_finished() {
        let begin = Instant::now();
        assert_eq!(client.call("Echo").await.code(), Code::Ok);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }

    assert_eq!(flood.await.unwrap(), Some(ENHANCE_YOUR_CALM));
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;
    let large = "x".repeat(20 * 1024);

    let answer = client.send(request_with("Echo", "x-large", &large), Bytes::new()).await;

    assert_eq!(answer.http, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn far_too_many_headers_end_the_connection() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;
    let huge = "x".repeat(200 * 1024);

    let _answer = client.begin_request(request_with("Echo", "x-huge", &huge)).await;

    assert!(client.closed().await.is_err());
}

#[tokio::test]
async fn streams_above_the_limit_are_refused() {
    let server = TestServer::start(&Settings { max_concurrent_streams: 2, ..settings() }).await;
    let mut raw = RawHttp2::connect_with_preface(server.address()).await;

    for stream in streams().take(3) {
        raw.send(&call(stream, &[])).await;
    }

    assert_eq!(raw.refused().await, 5);
}

#[tokio::test]
async fn http_1_is_not_served() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp2::connect(server.address()).await;

    raw.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;

    // It ends at once, not by a timeout.
    raw.ended().await;
}
