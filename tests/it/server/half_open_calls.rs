//! Half-open calls: calls whose request never becomes whole. They cost an honest caller nothing.

use std::net::Ipv4Addr;

use cloakroom::server::Settings;
use tonic::Code;

use super::support::client::{Client, reply};
use super::support::test_server::{TestServer, connect_from, ms, settings};

#[tokio::test]
async fn a_half_open_call_takes_no_slot_from_a_whole_one() {
    let server = TestServer::start(&Settings { max_calls: 2, ..settings() }).await;
    let (attacker, client) = (server.client().await, server.client().await);
    let mut half_open = Vec::new();
    for _ in 0..10 {
        half_open.push(attacker.begin_unfinished("Echo").await);
    }
    // The server has handled them, because it handles the calls of a connection in order.
    assert_eq!(attacker.call("Echo").await.code(), Code::Ok);

    for _ in 0..10 {
        assert_eq!(client.call("Echo").await.code(), Code::Ok);
    }
}

#[tokio::test]
async fn a_request_has_to_be_whole_within_its_timeout() {
    let settings = Settings { request_timeout: ms(50), call_timeout: ms(600_000), ..settings() };
    let server = TestServer::start(&settings).await;
    let client = server.client().await;

    let (response, _unfinished) = client.begin_unfinished("Echo").await;

    let answer = reply(response).await.unwrap();
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(answer.message().contains("whole") && answer.message().contains("50ms"), "{}", answer.message());
}

#[tokio::test]
async fn one_address_takes_half_of_the_slots_at_most() {
    let server = TestServer::start(&Settings { max_calls: 4, ..settings() }).await;
    let client = async |address| Client::over(connect_from(address, server.address()).await).await;
    let (one, other) = (client(Ipv4Addr::new(127, 0, 0, 1)).await, client(Ipv4Addr::new(127, 0, 0, 2)).await);
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(one.begin("Wait").await);
        server.echo.has_begun().await;
    }

    let refused = one.call("Echo").await;

    assert_eq!((refused.code(), refused.reason().as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(refused.message().contains("address"), "{}", refused.message());
    assert_eq!(other.call("Echo").await.code(), Code::Ok);
    for call in running {
        server.echo.release();
        assert_eq!(reply(call).await.unwrap().code(), Code::Ok);
    }
    assert_eq!(one.call("Echo").await.code(), Code::Ok);
}
