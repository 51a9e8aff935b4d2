//! How long connections live.
//!
//! These deadlines are real time, the kernel's sockets know no other; they are short.

use std::time::{Duration, Instant};

use cloakroom::server::Settings;
use tonic::Code;

use super::support::client::reply;
use super::support::raw_http2::{NO_ERROR, Raw, call};
use super::support::test_server::{TestServer, eventually, ms, settings, soon};

#[tokio::test]
async fn a_socket_that_says_nothing_is_closed() {
    let server = TestServer::open(&Settings { first_request_timeout: ms(200), ..settings() }).await;
    let begin = Instant::now();

    Raw::connect(server.address()).await.ended().await;

    assert!(about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_connection_that_makes_no_call_is_told_to_go() {
    let server = TestServer::open(&Settings { first_request_timeout: ms(200), ..settings() }).await;
    let begin = Instant::now();

    let code = Raw::hello(server.address()).await.ended().await;

    assert_eq!(code, Some(NO_ERROR));
    assert!(about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let server = TestServer::open(&Settings { idle_timeout: ms(200), ..settings() }).await;
    let client = server.client().await;
    client.call("Echo").await;
    let begin = Instant::now();

    assert!(client.closed().await.is_ok());

    assert!(about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_connection_with_a_running_call_is_not_idle() {
    let server = TestServer::open(&Settings { idle_timeout: ms(100), ..settings() }).await;
    let client = server.client().await;
    let (call, stream) = (client.begin("Wait").await, client.begin("Stream").await);
    server.echo.has_begun().await;
    server.echo.has_begun().await;

    tokio::time::sleep(ms(350)).await;
    assert!(!client.was_told_to_go().await);

    server.echo.release();
    server.echo.release();
    assert_eq!(reply(call).await.unwrap().code(), Code::Ok);
    assert_eq!(reply(stream).await.unwrap().code(), Code::Ok);
    assert!(client.closed().await.is_ok());
}

#[tokio::test]
async fn an_old_connection_is_told_to_go_and_finishes_its_calls() {
    let server = TestServer::open(&Settings { max_connection_age: ms(200), ..settings() }).await;
    let client = server.client().await;
    let begin = Instant::now();
    let call = client.begin("Wait").await;
    server.echo.has_begun().await;

    eventually(async || client.was_told_to_go().await).await;
    // Give or take a tenth, and what the machine takes.
    assert!(about(begin.elapsed(), ms(180)), "{:?}", begin.elapsed());

    server.echo.release();
    assert_eq!(reply(call).await.unwrap().code(), Code::Ok);
    assert!(client.closed().await.is_ok());
    assert_eq!(server.client().await.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn an_old_connection_is_cut_when_its_calls_do_not_finish() {
    let settings = Settings { max_connection_age: ms(100), drain_timeout: ms(200), ..settings() };
    let server = TestServer::open(&settings).await;
    let client = server.client().await;
    let begin = Instant::now();

    let call = client.begin("Wait").await;

    assert!(reply(call).await.is_err());
    assert!(about(begin.elapsed(), ms(290)), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_peer_that_is_gone_is_noticed() {
    let server = TestServer::open(&Settings { keepalive_interval: ms(100), ..settings() }).await;
    let mut raw = Raw::hello(server.address()).await;
    let begin = Instant::now();

    raw.say(&call(1, &[])).await;
    server.echo.has_begun().await;

    // It never answers a ping.
    soon(raw.ended()).await;
    assert!(about(begin.elapsed(), ms(200)), "{:?}", begin.elapsed());
}

/// Not sooner, and not so late that it was another deadline.
fn about(elapsed: Duration, expected: Duration) -> bool {
    (expected.saturating_sub(ms(5))..expected + Duration::from_secs(2)).contains(&elapsed)
}
