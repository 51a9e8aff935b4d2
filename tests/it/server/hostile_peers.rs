//! Hostile peers: an attack ends its own connection and does not disturb others.

use std::time::Instant;

use bytes::Bytes;
use cloakroom::server::{Protocols, Settings};
use http::StatusCode;
use tonic::Code;

use super::support::client::request_with;
use super::support::raw_http2::{
    END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, INITIAL_WINDOW_SIZE, PING, PRIORITY, RawHttp2, SETTINGS, WINDOW_UPDATE,
    call, frame, headers, reset, streams, whole_call,
};
use super::support::test_server::{TestServer, eventually, ms, settings};

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
async fn frames_without_calls_end_the_connection() {
    let server = TestServer::start(&settings()).await;
    let floods = [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("PRIORITY", frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1])),
        ("unknown", frame(0x42, 0, 0, &[])),
    ];
    for (name, flood) in floods {
        let mut raw = RawHttp2::connect_with_preface(server.address()).await;
        raw.send(&whole_call(1, "/test.Echo/Echo", b"+")).await;
        raw.answered().await;

        let code = raw.flood(flood.repeat(20_000)).await;

        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{name}");
    }
}

#[tokio::test]
async fn frames_around_calls_do_not_end_the_connection() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp2::connect_with_preface(server.address()).await;
    let around = [
        frame(PING, 0, 0, &[0; 8]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(SETTINGS, 0, 0, &[]),
    ];

    for stream in streams().take(3000) {
        raw.send(&[whole_call(stream, "/test.Echo/Echo", b"+"), around.concat()].concat()).await;
        while raw.frame_of(stream).await.flags & END_STREAM == 0 {}
    }
}

#[tokio::test]
async fn a_response_that_is_not_read_ends_its_connection() {
    let server = TestServer::start(&Settings { send_timeout: ms(200), drain_timeout: ms(100), ..settings() }).await;
    for window in [0, 1, 1000] {
        let mut raw = RawHttp2::connect_with_settings(server.address(), &[(INITIAL_WINDOW_SIZE, window)]).await;

        raw.send(&whole_call(1, "/test.Echo/Echo", &[0; 10_000])).await;
        raw.answered().await;

        raw.ended().await;
    }
}

#[tokio::test]
async fn responses_that_are_not_read_use_no_more_than_the_budget() {
    let settings = Settings { pending_budget_bytes: 4 << 20, workers: 1, ..settings() };
    let server = TestServer::start(&settings).await;
    let client = server.client().await;
    let mut peers = Vec::new();

    for _ in 0..40 {
        let mut raw = RawHttp2::connect_with_settings(server.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
        // A third call would not begin.
        for stream in streams().take(2) {
            raw.send(&whole_call(stream, "/test.Echo/Echo", &[0; 60_000])).await;
            raw.answered().await;
            assert_eq!(client.call("Echo").await.code(), Code::Ok);
        }
        peers.push(tokio::spawn(raw.ended()));
    }

    // Each holds 132 KB, so the budget is for 31, and those that began first have ended.
    eventually(async || peers.iter().filter(|peer| peer.is_finished()).count() >= 8).await;
    assert!(peers.iter().rev().take(25).all(|peer| !peer.is_finished()));
}

#[tokio::test]
async fn requests_that_are_not_whole_use_no_more_than_the_budget() {
    let settings = Settings { pending_budget_bytes: 4 << 20, request_timeout: ms(600_000), ..settings() };
    let server = TestServer::start(&settings).await;
    let client = server.client().await;
    let mut peers = Vec::new();

    for _ in 0..10 {
        let mut raw = RawHttp2::connect_with_preface(server.address()).await;
        for stream in streams().take(50) {
            raw.send(&half_open_echo(stream)).await;
        }
        peers.push(tokio::spawn(raw.ended()));
        assert_eq!(client.call("Echo").await.code(), Code::Ok);
    }

    // Each holds 50 times 42 KiB, for services of this test see a request before it is whole. So the budget is for one.
    eventually(async || peers.iter().filter(|peer| peer.is_finished()).count() >= 9).await;
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn peers_that_break_the_protocol_again_and_again_have_to_wait() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;
    // A WINDOW_UPDATE of 0 is an error of the connection.
    let wrong = frame(WINDOW_UPDATE, 0, 0, &[0; 4]);
    let mut times = Vec::new();

    for _ in 0..40 {
        let begin = Instant::now();
        RawHttp2::connect_with_preface(server.address()).await.flood(wrong.clone()).await;
        times.push(begin.elapsed());
        assert_eq!(client.call("Echo").await.code(), Code::Ok);
    }

    assert!(times[39] > ms(200), "{times:?}");
}

fn half_open_echo(stream: u32) -> Vec<u8> {
    headers(stream, "/test.Echo/Echo", END_HEADERS, &[])
}

#[tokio::test]
async fn a_flood_does_not_disturb_other_connections() {
    let server = TestServer::start(&Settings { workers: 1, ..settings() }).await;
    let client = server.client().await;
    let flood: Vec<u8> = streams().take(3000).flat_map(|stream| [call(stream, &[]), reset(stream)].concat()).collect();
    let flood = tokio::spawn(RawHttp2::connect_with_preface(server.address()).await.flood(flood));

    while !flood.is_finished() {
        assert_eq!(client.call("Echo").await.code(), Code::Ok);
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
async fn http_1_is_not_served_without_the_connect_protocol() {
    let protocols = Protocols { grpc: true, connect: false };
    let server = TestServer::start(&Settings { protocols, ..settings() }).await;
    let mut raw = RawHttp2::connect(server.address()).await;

    raw.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;

    // It ends at once, not by a timeout.
    raw.ended().await;
}
