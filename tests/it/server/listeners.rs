//! Listeners: TCP and Unix sockets, and addresses that are refused.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cloakroom::server::{BindError, Server, Settings};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tonic::Code;

use super::support::client::Client;
use super::support::test_server::{TestServer, settings};

#[tokio::test]
async fn a_unix_socket_serves_owner_and_group() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = TestServer::start(&only_at(&path)).await;

    let client = Client::over(UnixStream::connect(&path).await.unwrap()).await;

    assert_eq!(client.call("Echo").await.code(), Code::Ok);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    server.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn tcp_and_a_unix_socket_are_served_alike() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = TestServer::start(&Settings { unix_socket: Some(path.clone()), ..settings() }).await;

    let local = Client::over(UnixStream::connect(&path).await.unwrap()).await;
    let remote = server.client().await;

    assert_eq!(local.call("Echo").await.code(), Code::Ok);
    assert_eq!(remote.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn unix_sockets_are_not_counted_per_peer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _server = TestServer::start(&Settings { max_connections_per_peer: 1, ..only_at(&path) }).await;

    let first = Client::over(UnixStream::connect(&path).await.unwrap()).await;
    let second = Client::over(UnixStream::connect(&path).await.unwrap()).await;

    assert_eq!(first.call("Echo").await.code(), Code::Ok);
    assert_eq!(second.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn the_socket_file_of_a_dead_server_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());

    let _server = TestServer::start(&only_at(&path)).await;

    let client = Client::over(UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn the_socket_file_of_a_running_server_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _server = TestServer::start(&only_at(&path)).await;

    let refused = Server::bind(&only_at(&path)).await;

    assert!(matches!(refused, Err(BindError::Unix { source, .. }) if source.kind() == io::ErrorKind::AddrInUse));
    let client = Client::over(UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    fs::write(&path, "precious").unwrap();

    let refused = Server::bind(&only_at(&path)).await;

    assert!(matches!(refused, Err(BindError::Unix { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn the_socket_file_of_a_newer_server_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = TestServer::start(&only_at(&path)).await;

    fs::remove_file(&path).unwrap();
    let _newer = TestServer::start(&only_at(&path)).await;
    server.close().await;

    assert!(path.exists());
}

#[tokio::test]
async fn an_address_in_use_is_named_in_the_error() {
    let server = TestServer::start(&settings()).await;

    let refused = Server::bind(&Settings { listen: Some(server.address()), ..settings() }).await;

    let message = refused.map(|_| ()).unwrap_err().to_string();
    assert!(message.starts_with(&format!("listen: {} is taken: ", server.address())), "{message}");
}

#[tokio::test]
async fn a_listener_beyond_loopback_needs_insecure() {
    let everywhere = Settings { listen: Some(([0, 0, 0, 0], 0).into()), ..settings() };

    let refused = Server::bind(&everywhere).await;

    let message = refused.map(|_| ()).unwrap_err().to_string();
    assert!(message.starts_with("listen: ") && message.contains("insecure = true"), "{message}");
    let server = TestServer::start(&Settings { insecure: true, ..everywhere }).await;
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, server.address().port())).await.unwrap();
    assert_eq!(Client::over(socket).await.call("Echo").await.code(), Code::Ok);
}

fn only_at(path: &Path) -> Settings {
    Settings { listen: None, unix_socket: Some(path.to_owned()), ..settings() }
}
