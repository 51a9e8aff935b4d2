//! Limits of connections: in total and per peer.

use std::net::{Ipv4Addr, SocketAddr};

use cloakroom::server::Settings;
use tokio::net::{TcpSocket, TcpStream};
use tonic::Code;

use super::support::client::Client;
use super::support::raw_http2::RawHttp2;
use super::support::test_server::{TestServer, eventually, settings, with_timeout};

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_at_once() {
    let server = TestServer::start(&Settings { max_connections: 2, ..settings() }).await;
    let (first, second) = (server.client().await, server.client().await);

    let refused = RawHttp2::connect(server.address()).await;

    assert_eq!(refused.ended().await, None);
    assert_eq!(first.call("Echo").await.code(), Code::Ok);
    assert_eq!(second.call("Echo").await.code(), Code::Ok);
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

async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    with_timeout(socket.connect(address)).await.unwrap()
}

async fn is_served(socket: TcpStream) -> bool {
    let Some(client) = Client::try_over(socket).await else { return false };
    client.is_answered().await
}
