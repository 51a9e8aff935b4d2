//! Lifetimes of connections: timeouts, maximum age, keepalive.
//!
//! These timeouts are in real time, because sockets of the kernel are not under the test's clock. They are short.

use std::time::Instant;

use cloakroom::server::Settings;
use tonic::Code;

use super::support::client::reply;
use super::support::raw_http2::{NO_ERROR, RawHttp2, call};
use super::support::test_server::{TestServer, eventually, is_about, ms, settings, with_timeout};

#[tokio::test]
async fn a_silent_socket_is_closed() {
    let server = TestServer::start(&Settings { first_request_timeout: ms(200), ..settings() }).await;
    let begin = Instant::now();

    RawHttp2::connect(server.address()).await.ended().await;

    assert!(is_about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_connection_without_a_call_gets_a_goaway() {
    let server = TestServer::start(&Settings { first_request_timeout: ms(200), ..settings() }).await;
    let begin = Instant::now();

    let code = RawHttp2::connect_with_preface(server.address()).await.ended().await;

    assert_eq!(code, Some(NO_ERROR));
    assert!(is_about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_idle_connection_gets_a_goaway() {
    let server = TestServer::start(&Settings { idle_timeout: ms(200), ..settings() }).await;
    let client = server.client().await;
    client.call("Echo").await;
    let begin = Instant::now();

    assert!(client.closed().await.is_ok());

    assert!(is_about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_connection_with_a_running_call_is_not_idle() {
    let server = TestServer::start(&Settings { idle_timeout: ms(100), ..settings() }).await;
    let client = server.client().await;
    let (call, stream) = (client.begin("Wait").await, client.begin("Stream").await);
    server.echo.has_begun().await;
    server.echo.has_begun().await;

    tokio::time::sleep(ms(350)).await;
    assert!(!client.received_goaway().await);

    server.echo.release();
    server.echo.release();
    assert_eq!(reply(call).await.unwrap().code(), Code::Ok);
    assert_eq!(reply(stream).await.unwrap().code(), Code::Ok);
    assert!(client.closed().await.is_ok());
}

#[tokio::test]
async fn an_old_connection_gets_a_goaway_and_finishes_its_calls() {
    let server = TestServer::start(&Settings { max_connection_age: ms(200), ..settings() }).await;
    let client = server.client().await;
    let begin = Instant::now();
    let call = client.begin("Wait").await;
    server.echo.has_begun().await;

    eventually(async || client.received_goaway().await).await;
    // The age varies by a tenth, and the machine adds some time.
    assert!(is_about(begin.elapsed(), ms(180)), "{:?}", begin.elapsed());

    server.echo.release();
    assert_eq!(reply(call).await.unwrap().code(), Code::Ok);
    assert!(client.closed().await.is_ok());
    assert_eq!(server.client().await.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn an_old_connection_is_cut_if_its_calls_do_not_finish() {
    let settings = Settings { max_connection_age: ms(100), drain_timeout: ms(200), ..settings() };
    let server = TestServer::start(&settings).await;
    let client = server.client().await;
    let begin = Instant::now();

    let call = client.begin("Wait").await;

    assert!(reply(call).await.is_err());
    assert!(is_about(begin.elapsed(), ms(290)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_dead_peer_is_detected_by_keepalive() {
    let server = TestServer::start(&Settings { keepalive_interval: ms(100), ..settings() }).await;
    let mut raw = RawHttp2::connect_with_preface(server.address()).await;
    let begin = Instant::now();

    raw.send(&call(1, &[])).await;
    server.echo.has_begun().await;

    // The peer never answers a ping.
    with_timeout(raw.ended()).await;
    assert!(is_about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}
