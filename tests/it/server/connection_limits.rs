//! Limits of connections: in total and per peer.

use std::net::Ipv4Addr;

use cloakroom::server::Settings;
use tokio::net::TcpStream;
use tonic::Code;

use super::support::client::Client;
use super::support::raw_http1::{RawHttp1, request};
use super::support::raw_http2::{RawHttp2, call};
use super::support::test_server::{TestServer, connect_from, eventually, settings};

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_at_once() {
    let server = TestServer::start(&Settings { max_connections: 2, ..settings() }).await;
    let (first, second) = (server.client().await, server.client().await);
    assert_eq!(first.call("Echo").await.code(), Code::Ok);
    assert_eq!(second.call("Echo").await.code(), Code::Ok);

    let refused = RawHttp2::connect(server.address()).await;

    assert_eq!(refused.ended().await, None);
    assert_eq!(first.call("Echo").await.code(), Code::Ok);
    assert_eq!(second.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn a_new_connection_replaces_the_oldest_one_that_has_made_no_call() {
    for settings in
        [Settings { max_connections: 3, ..settings() }, Settings { max_connections_per_peer: 3, ..settings() }]
    {
        let server = TestServer::start(&settings).await;
        let used = server.client().await;
        assert_eq!(used.call("Echo").await.code(), Code::Ok);
        let silent = RawHttp2::connect(server.address()).await;
        let mut half_open = RawHttp2::connect_with_preface(server.address()).await;
        half_open.send(&call(1, &[])).await;

        let clients = [server.client().await, server.client().await];

        assert_eq!(silent.ended().await, None);
        assert_eq!(half_open.ended().await, None);
        for client in clients.iter().chain([&used]) {
            assert_eq!(client.call("Echo").await.code(), Code::Ok);
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_makes_room_for_another() {
    let server = TestServer::start(&Settings { max_connections: 1, ..settings() }).await;
    let first = server.client().await;
    assert_eq!(first.call("Echo").await.code(), Code::Ok);

    first.close().await;

    eventually(async || is_served(TcpStream::connect(server.address()).await.unwrap()).await).await;
}

#[tokio::test]
async fn one_peer_cannot_take_every_connection() {
    let server = TestServer::start(&Settings { max_connections_per_peer: 1, ..settings() }).await;
    let (one, other) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let first = Client::over(connect_from(one, server.address()).await).await;
    assert_eq!(first.call("Echo").await.code(), Code::Ok);

    let refused = RawHttp2::over(connect_from(one, server.address()).await);

    assert_eq!(refused.ended().await, None);
    assert!(is_served(connect_from(other, server.address()).await).await);
}

#[tokio::test]
async fn a_refused_peer_is_told_why_by_http_1() {
    for (settings, name) in [
        (Settings { max_connections: 1, ..settings() }, "max_connections allows"),
        (Settings { max_connections_per_peer: 1, ..settings() }, "max_connections_per_peer allows"),
    ] {
        let server = TestServer::start(&settings).await;
        let mut first = RawHttp1::connect(server.address()).await;
        first.call("").await;
        let mut refused = RawHttp1::connect(server.address()).await;

        refused.send(request("Echo", "")).await;
        let answer = refused.answer().await;

        assert_eq!((answer.status, answer.is_last()), (503, true), "{answer:?}");
        assert!(answer.body.contains(name), "{answer:?}");
        assert_eq!(refused.ended().await.as_deref(), Some(""));
        assert_eq!(first.call("first").await.body, "first");
    }
}

#[tokio::test]
async fn three_hundred_workers_of_one_host_have_a_connection_each() {
    let server = TestServer::start(&settings()).await;
    let mut workers = Vec::new();
    for _ in 0..300 {
        let mut raw = RawHttp1::connect(server.address()).await;
        raw.call("").await;
        workers.push(raw);
    }

    for raw in &mut workers {
        assert_eq!(raw.call("again").await.body, "again");
    }
}

async fn is_served(socket: TcpStream) -> bool {
    let Some(client) = Client::try_over(socket).await else { return false };
    client.is_answered().await
}
