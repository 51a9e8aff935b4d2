//! Routing of calls to several services on one address.

use std::net::SocketAddr;

use bytes::Bytes;
use cloakroom::server::{Server, Services};
use http::Request;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tonic::Code;

use super::support::client::{Client, request};
use super::support::echo::Echo;
use super::support::test_server::settings;

const HEALTH: &str = "http://localhost/grpc.health.v1.Health/Check";

#[tokio::test]
async fn a_call_reaches_the_service_in_its_path() {
    let (address, _stop) = two_services().await;
    let client = Client::connect(address).await;

    let echoed = client.send(request("Echo"), Bytes::from_static(b"coat")).await;
    let health = client.send(post(HEALTH), Bytes::from_static(&[0, 0, 0, 0, 0])).await;

    assert_eq!((echoed.code(), echoed.body.as_ref()), (Code::Ok, b"coat".as_slice()));
    // HealthCheckResponse { status: SERVING }.
    assert_eq!((health.code(), health.body.as_ref()), (Code::Ok, [0, 0, 0, 0, 2, 8, 1].as_slice()));
}

#[tokio::test]
async fn an_unknown_service_is_unimplemented() {
    let (address, _stop) = two_services().await;
    let client = Client::connect(address).await;

    for path in ["/test.Ech/Echo", "/test.Echo2/Echo", "/test.Echo", "/", "//Echo"] {
        let answer = client.send(post(&format!("http://localhost{path}")), Bytes::new()).await;

        assert_eq!((answer.code(), answer.reason().as_str()), (Code::Unimplemented, "SERVICE_UNKNOWN"), "{path}");
    }
}

#[tokio::test]
async fn the_error_of_a_too_large_request_names_the_limit() {
    let (address, _stop) = two_services().await;
    let client = Client::connect(address).await;
    let five_mib_to_come = Bytes::from_static(&[0, 0, 0x50, 0, 0]);

    let answer = client.send(post(HEALTH), five_mib_to_come).await;

    assert_eq!((answer.code(), answer.reason().as_str()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
    assert!(answer.message().contains("4194304"), "{}", answer.message());
}

async fn two_services() -> (SocketAddr, DropGuard) {
    let server = Server::bind(&settings()).await.unwrap();
    let (address, stop) = (server.tcp_addr().unwrap(), CancellationToken::new());
    let (_, health) = tonic_health::server::health_reporter();
    let services = Services::new(Echo::new()).and(health);
    tokio::spawn(server.run(move |_| services.clone(), stop.clone()));
    (address, stop.drop_guard())
}

fn post(uri: &str) -> Request<()> {
    Request::post(uri).header("content-type", "application/grpc").body(()).unwrap()
}
