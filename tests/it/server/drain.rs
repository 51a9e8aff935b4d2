//! The drain of a server that stops.

use std::time::Instant;

use cloakroom::server::{Settings, ShutdownReport};
use tokio::net::TcpStream;
use tonic::Code;

use super::support::client::reply;
use super::support::raw_http2::{NO_ERROR, RawHttp2, call};
use super::support::test_server::{TestServer, eventually, ms, settings};

#[tokio::test]
async fn a_running_call_finishes() {
    let server = TestServer::start(&settings()).await;
    let (client, echo) = (server.client().await, server.echo.clone());
    let call = client.begin("Wait").await;
    echo.has_begun().await;

    server.stop();
    eventually(async || client.received_goaway().await).await;
    echo.release();

    assert_eq!(reply(call).await.unwrap().code(), Code::Ok);
    assert!(client.closed().await.is_ok());
    assert_eq!(server.report().await, ShutdownReport { cut_connections: 0 });
}

#[tokio::test]
async fn a_new_connection_is_refused_while_calls_finish() {
    let server = TestServer::start(&settings()).await;
    let (client, echo) = (server.client().await, server.echo.clone());
    let call = client.begin("Wait").await;
    echo.has_begun().await;

    server.stop();

    eventually(async || TcpStream::connect(server.address()).await.is_err()).await;
    echo.release();
    assert_eq!(reply(call).await.unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_cut() {
    let server = TestServer::start(&Settings { drain_timeout: ms(200), ..settings() }).await;
    let (client, other) = (server.client().await, server.client().await);
    let call = client.begin("Wait").await;
    other.call("Echo").await;
    server.echo.has_begun().await;
    let begin = Instant::now();

    let report = server.close().await;

    assert!(begin.elapsed() >= ms(200), "{:?}", begin.elapsed());
    assert_eq!(report, ShutdownReport { cut_connections: 1 });
    assert!(reply(call).await.is_err());
    assert!(other.closed().await.is_ok());
}

#[tokio::test]
async fn an_open_stream_is_cut() {
    let server = TestServer::start(&Settings { drain_timeout: ms(100), ..settings() }).await;
    let client = server.client().await;
    let stream = client.begin("Stream").await;
    server.echo.has_begun().await;

    assert_eq!(server.close().await, ShutdownReport { cut_connections: 1 });

    assert!(reply(stream).await.is_err());
}

#[tokio::test]
async fn connections_without_calls_do_not_delay_a_stop() {
    let server = TestServer::start(&settings()).await;
    let (silent, greeted) =
        (RawHttp2::connect(server.address()).await, RawHttp2::connect_with_preface(server.address()).await);
    let idle = server.client().await;
    idle.call("Echo").await;

    assert_eq!(server.close().await, ShutdownReport { cut_connections: 0 });

    assert!(idle.closed().await.is_ok());
    silent.ended().await;
    assert_eq!(greeted.ended().await, Some(NO_ERROR));
}

#[tokio::test]
async fn a_connection_that_is_being_opened_at_the_stop_is_answered() {
    // The client has half a second for the first bytes, which may be too short on a busy machine: repeat then.
    eventually(async || {
        let server = TestServer::start(&settings()).await;
        let mut raw = RawHttp2::connect(server.address()).await;
        server.echo.release();

        server.stop();
        raw.send_preface().await;
        raw.send(&call(1, &[])).await;
        let code = raw.ended().await;

        code == Some(NO_ERROR) && server.report().await == ShutdownReport { cut_connections: 0 }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_server_stops() {
    let server = TestServer::start(&settings()).await;
    let (client, address) = (server.client().await, server.address());
    client.call("Echo").await;

    server.abandon();

    assert!(client.closed().await.is_ok());
    eventually(async || TcpStream::connect(address).await.is_err()).await;
}
