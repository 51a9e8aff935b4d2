//! Lifetimes of connections by HTTP/1.1, which has no GOAWAY: none is closed while its client may be using it.
//!
//! As in `connection_lifetime`, these timeouts are in real time. Other connections of the same server tell the time.

use std::time::Instant;

use cloakroom::server::{Settings, ShutdownReport};

use super::support::raw_http1::{RawHttp1, head, request};
use super::support::raw_http2::RawHttp2;
use super::support::test_server::{TestServer, eventually, is_about, ms, settings, with_timeout};

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_requests() {
    let settings = Settings { first_request_timeout: ms(200), request_timeout: ms(200), ..settings() };
    let server = TestServer::start(&settings).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    assert_eq!(raw.call("one").await.body, "one");

    first_request_timeout(&server).await;
    first_request_timeout(&server).await;

    assert_eq!(raw.call("two").await.body, "two");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_timeout() {
    let server = TestServer::start(&Settings { idle_timeout: ms(200), ..settings() }).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    raw.call("").await;
    let begin = Instant::now();

    assert_eq!(raw.ended().await.as_deref(), Some(""));

    assert!(is_about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_head_has_to_be_whole_in_time_on_a_used_connection_too() {
    let server = TestServer::start(&Settings { request_timeout: ms(200), ..settings() }).await;
    for used in [1, 2] {
        let mut raw = RawHttp1::connect(server.address()).await;
        for _ in 0..used {
            raw.call("").await;
        }
        let begin = Instant::now();

        raw.send("POST /test").await;

        raw.ended().await;
        assert!(is_about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_head_that_comes_in_drops_gets_no_more_time() {
    let server = TestServer::start(&Settings { request_timeout: ms(600), ..settings() }).await;
    let (mut raw, mut other) = (RawHttp1::connect(server.address()).await, RawHttp1::connect(server.address()).await);
    // The first byte alone could be one of HTTP/2.
    raw.send("P").await;
    other.call("").await;
    raw.send(&request("Echo", "")[1..]).await;
    raw.answer().await;

    let mut interval = tokio::time::interval(ms(10));
    for byte in request("Echo", "").bytes() {
        interval.tick().await;
        raw.try_send([byte]).await;
    }

    assert!(raw.try_answer().await.is_none());
}

#[tokio::test]
async fn a_head_and_a_body_in_pieces_leave_the_connection_idle() {
    let settings = Settings { first_request_timeout: ms(200), request_timeout: ms(150), ..settings() };
    let server = TestServer::start(&settings).await;
    let (mut raw, mut other) = (RawHttp1::connect(server.address()).await, RawHttp1::connect(server.address()).await);
    raw.call("").await;

    for piece in request("Echo", "a body of some length").as_bytes().chunks(20) {
        raw.send(piece).await;
        other.call("").await;
    }
    assert_eq!(raw.answer().await.body, "a body of some length");
    first_request_timeout(&server).await;

    assert_eq!(raw.call("two").await.body, "two");
}

#[tokio::test]
async fn an_old_connection_is_closed_after_its_next_answer_which_says_so() {
    let server = TestServer::start(&Settings { max_connection_age: ms(200), ..settings() }).await;
    let (mut raw, mut busy) = (RawHttp1::connect(server.address()).await, RawHttp1::connect(server.address()).await);
    assert!(!raw.call("").await.is_last());
    busy.send(request("Wait", "")).await;
    server.echo.has_begun().await;

    // Each may live up to a tenth longer or shorter.
    for _ in 0..2 {
        let client = server.client().await;
        eventually(async || client.received_goaway().await).await;
    }
    server.echo.release();

    assert!(busy.answer().await.is_last());
    assert_eq!(busy.ended().await.as_deref(), Some(""));
    let answer = raw.call("late").await;
    assert_eq!((answer.body.as_str(), answer.is_last()), ("late", true));
    assert_eq!(raw.ended().await.as_deref(), Some(""));
}

#[tokio::test]
async fn an_old_connection_without_another_call_is_closed_after_the_idle_timeout() {
    let settings = Settings { max_connection_age: ms(100), idle_timeout: ms(400), ..settings() };
    let server = TestServer::start(&settings).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    raw.call("").await;
    let begin = Instant::now();

    assert_eq!(raw.ended().await.as_deref(), Some(""));

    assert!(is_about(begin.elapsed(), ms(400)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_idle_connection_gets_one_more_answer_at_a_stop() {
    // One worker, so that the connections learn of the stop together.
    let server = TestServer::start(&Settings { workers: 1, ..settings() }).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    raw.call("").await;
    let client = server.client().await;
    client.call("Echo").await;

    server.stop();
    eventually(async || client.received_goaway().await).await;
    let answer = raw.call("late").await;

    assert_eq!((answer.body.as_str(), answer.is_last()), ("late", true));
    assert_eq!(raw.ended().await.as_deref(), Some(""));
    assert_eq!(server.report().await, ShutdownReport { cut_connections: 0 });
}

#[tokio::test]
async fn a_running_call_finishes_at_a_stop_and_says_that_it_is_the_last() {
    // One worker, so that the connections learn of the stop together.
    let server = TestServer::start(&Settings { workers: 1, ..settings() }).await;
    let (mut raw, client) = (RawHttp1::connect(server.address()).await, server.client().await);
    client.call("Echo").await;
    raw.send(request("Wait", "")).await;
    server.echo.has_begun().await;

    server.stop();
    eventually(async || client.received_goaway().await).await;
    server.echo.release();

    assert!(raw.answer().await.is_last());
    assert_eq!(raw.ended().await.as_deref(), Some(""));
    assert_eq!(server.report().await, ShutdownReport { cut_connections: 0 });
}

#[tokio::test]
async fn idle_connections_do_not_delay_a_stop_for_long() {
    let server = TestServer::start(&settings()).await;
    let mut idle = RawHttp1::connect(server.address()).await;
    idle.call("").await;
    let mut half = RawHttp1::connect(server.address()).await;
    half.call("").await;
    half.send("POST /").await;

    assert_eq!(server.close().await, ShutdownReport { cut_connections: 0 });
    assert_eq!(idle.ended().await.as_deref(), Some(""));
}

#[tokio::test]
async fn nothing_is_read_from_an_idle_connection_after_its_end() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    raw.call("").await;

    server.stop();
    assert!(raw.try_answer().await.is_none());

    // More than the kernel holds for a connection that nobody reads.
    let limit = 16 << 20;
    assert!(raw.send_until_reset(limit).await < limit);
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_cut_when_the_drain_is_over() {
    for drain_timeout in [ms(0), ms(200), ms(700)] {
        let server = TestServer::start(&Settings { drain_timeout, ..settings() }).await;
        let mut raw = RawHttp1::connect(server.address()).await;
        raw.send(request("Wait", "")).await;
        server.echo.has_begun().await;
        let begin = Instant::now();

        assert_eq!(server.close().await, ShutdownReport { cut_connections: 1 });

        assert!(is_about(begin.elapsed(), drain_timeout), "{:?}", begin.elapsed());
        assert!(raw.try_answer().await.is_none());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_read_ends_its_connection() {
    let server = TestServer::start(&Settings { send_timeout: ms(200), drain_timeout: ms(100), ..settings() }).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    let large = request("Echo", &"x".repeat(3 << 20));

    // More than the kernel holds for a connection whose answers nobody reads.
    for _ in 0..20 {
        raw.try_send(&large).await;
    }

    with_timeout(raw.ended()).await;
}

#[tokio::test]
async fn an_unfinished_body_ends_its_call_in_time() {
    let server = TestServer::start(&Settings { request_timeout: ms(200), ..settings() }).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    let begin = Instant::now();

    raw.send([head("Echo", "content-length: 100\r\n\r\n").as_str(), "half"].concat()).await;
    let answer = raw.answer().await;

    assert!(answer.body.contains("DEADLINE_EXCEEDED") && answer.is_last(), "{answer:?}");
    assert_eq!(raw.ended().await.as_deref(), Some(""));
    // Once for the body, and once for what is left of it.
    assert!(is_about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

/// Waits for the time within which a new connection has to make a call.
async fn first_request_timeout(server: &TestServer) {
    RawHttp2::connect(server.address()).await.ended().await;
}
