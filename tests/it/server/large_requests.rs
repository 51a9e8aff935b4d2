//! Large requests: the budget for their bytes, which does not affect small ones.

use bytes::{Bytes, BytesMut};
use cloakroom::auth::Role;
use cloakroom::server::Settings;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::Request;
use tonic::Code;

use super::page_access::metric;
use super::support::client::{Client, Reply, reply, request};
use super::support::test_server::{TestServer, eventually, ms, settings, with_timeout};
use super::support::tls_service::{TlsService, caller, token};

const MIB: usize = 1024 * 1024;
/// The smallest budget that can be set.
const BUDGET: usize = 4 * MIB;
/// The largest message that counts as small.
const SMALL: usize = 64 * 1024;

async fn service(settings: Settings) -> TlsService {
    let callers = [("shop", Role::Frontend), ("watcher", Role::Monitor)];
    let settings = Settings { request_budget_bytes: BUDGET, ..settings };
    TlsService::with(callers.map(|(name, role)| caller(name, role, "*")).into(), settings).await
}

/// Settings whose calls do not time out.
fn without_timeout() -> Settings {
    Settings { call_timeout: ms(600_000), ..settings() }
}

fn open_session() -> Request<()> {
    let mut call = request("");
    *call.uri_mut() = "http://localhost/cloakroom.v1.SessionService/OpenSession".parse().unwrap();
    call.headers_mut().insert("authorization", format!("Bearer {}", token("shop")).parse().unwrap());
    call
}

/// Builds an `OpenSessionRequest` of this size, nearly all in an unknown field.
fn message(bytes: usize) -> Bytes {
    let mut message = BytesMut::from(&[0][..]);
    message.extend_from_slice(&u32::try_from(bytes).unwrap().to_be_bytes());
    // Field 100, as bytes: two bytes for the field, four for the length.
    let length = u32::try_from(bytes - 6).unwrap();
    let varint = [length & 127 | 128, length >> 7 & 127 | 128, length >> 14 & 127 | 128, length >> 21 & 127];
    message.extend_from_slice(&[0xa2, 0x06]);
    message.extend(varint.map(|byte| u8::try_from(byte).unwrap()));
    message.resize(5 + bytes, 0);
    message.freeze()
}

async fn open(client: &Client, bytes: usize) -> Reply {
    client.send(open_session(), message(bytes)).await
}

/// Sends an unfinished request of this size, and waits until its bytes are reserved.
async fn start_large_request(
    service: &TlsService,
    client: &Client,
    bytes: usize,
) -> (ResponseFuture, SendStream<Bytes>) {
    let before = reserved(service).await;
    let (response, mut sending) = client.begin_unfinished_request(open_session()).await;
    sending.send_data(message(bytes).split_to(1000), false).unwrap();
    await_reserved(service, before + bytes).await;
    (response, sending)
}

/// Gets the reserved bytes of the budget.
async fn reserved(service: &TlsService) -> usize {
    let bytes = metric(service, "cloakroom_large_request_bytes{listener=\"frontends\"}").await;
    usize::try_from(bytes).unwrap()
}

async fn await_reserved(service: &TlsService, bytes: usize) {
    eventually(async || reserved(service).await == bytes).await;
}

fn is_refused(reply: &Reply) -> bool {
    reply.code() == Code::ResourceExhausted && reply.reason() == "OVERLOADED" && reply.message().contains("large")
}

#[tokio::test]
async fn a_large_request_over_the_budget_is_refused_and_a_small_one_is_not() {
    let service = service(without_timeout()).await;
    let (client, other) = (service.client(service.frontends).await, service.client(service.frontends).await);
    let (finished, mut rest) = start_large_request(&service, &client, MIB).await;
    let _unfinished = start_large_request(&service, &client, 2 * MIB).await;

    assert!(is_refused(&open(&other, MIB + 1).await));
    assert_eq!(open(&other, MIB).await.code(), Code::Ok, "it fits the budget");
    assert_eq!(open(&other, SMALL).await.code(), Code::Ok);
    let _third = start_large_request(&service, &client, MIB).await;
    assert_eq!(open(&other, SMALL).await.code(), Code::Ok);
    assert!(is_refused(&open(&other, SMALL + 1).await));
    assert_eq!(metric(&service, "cloakroom_call_failures_total{reason=\"OVERLOADED\"}").await, 2);

    rest.send_data(message(MIB).split_off(1000), true).unwrap();

    assert_eq!(reply(finished).await.unwrap().code(), Code::Ok, "an accepted request is answered");
    assert_eq!(open(&other, MIB).await.code(), Code::Ok, "its bytes are free again");
}

#[tokio::test]
async fn bytes_are_reserved_until_the_answer_not_only_until_the_body_is_read() {
    let service = TestServer::start(&Settings { request_budget_bytes: BUDGET, ..without_timeout() }).await;
    let (client, other) = (service.client().await, service.client().await);
    let handled = client.begin_message(request("ReadAndWait"), message(BUDGET)).await;
    service.echo.has_begun().await;

    assert!(is_refused(&other.send(request("Echo"), message(SMALL + 1)).await));
    assert_eq!(other.send(request("Echo"), message(SMALL)).await.code(), Code::Ok);

    service.echo.release();
    assert_eq!(reply(handled).await.unwrap().code(), Code::Ok);
    assert_eq!(other.send(request("Echo"), message(SMALL + 1)).await.code(), Code::Ok);
}

#[tokio::test]
async fn refused_requests_do_not_end_their_connection() {
    let service = service(without_timeout()).await;
    let (client, other) = (service.client(service.frontends).await, service.client(service.frontends).await);
    let unfinished = start_large_request(&service, &client, BUDGET).await;

    for _ in 0..20 {
        assert!(is_refused(&open(&other, MIB).await));
    }
    drop(unfinished);
    await_reserved(&service, 0).await;

    assert_eq!(open(&other, BUDGET).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_cancelled_or_lost_large_request_frees_its_bytes() {
    let service = service(without_timeout()).await;
    let (client, other) = (service.client(service.frontends).await, service.client(service.frontends).await);

    let (_response, mut sending) = start_large_request(&service, &client, BUDGET).await;
    sending.send_reset(h2::Reason::CANCEL);
    await_reserved(&service, 0).await;

    let _unfinished = start_large_request(&service, &client, BUDGET).await;
    client.abort();
    await_reserved(&service, 0).await;
    assert_eq!(open(&other, BUDGET).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_large_request_that_times_out_frees_its_bytes() {
    let service = service(Settings { call_timeout: ms(2000), ..settings() }).await;
    let client = service.client(service.frontends).await;

    let (response, _rest) = start_large_request(&service, &client, BUDGET).await;

    assert_eq!(reply(response).await.unwrap().code(), Code::DeadlineExceeded);
    await_reserved(&service, 0).await;
}

#[tokio::test]
async fn a_length_is_found_in_any_pieces_and_at_any_place_in_a_request() {
    let service = service(without_timeout()).await;
    let client = service.client(service.frontends).await;

    // Byte by byte.
    let (_response, mut sending) = client.begin_unfinished_request(open_session()).await;
    for byte in message(2 * MIB).split_to(5) {
        sending.send_data(Bytes::copy_from_slice(&[byte]), false).unwrap();
    }
    await_reserved(&service, 2 * MIB).await;
    // After a small message: a unary call has only one, but the second is read all the same.
    let (_another, mut sending) = client.begin_unfinished_request(open_session()).await;
    let two = [message(SMALL), message(MIB).split_to(5)].concat();
    sending.send_data(two.into(), false).unwrap();
    await_reserved(&service, 3 * MIB).await;
}

#[tokio::test]
async fn a_call_without_authentication_cannot_use_the_budget() {
    let service = service(without_timeout()).await;
    let client = service.client(service.frontends).await;
    for bytes in [BUDGET, SMALL, 5000] {
        let mut health = request("");
        *health.uri_mut() = "http://localhost/grpc.health.v1.Health/Check".parse().unwrap();

        let (response, mut sending) = client.begin_unfinished_request(health).await;
        sending.send_data(message(bytes).split_to(5), false).unwrap();

        assert_eq!(with_timeout(reply(response)).await.unwrap().reason(), "REQUEST_TOO_LARGE", "{bytes}");
    }
    await_reserved(&service, 0).await;
}

#[tokio::test]
async fn a_request_over_the_size_limit_uses_no_budget() {
    let service = service(without_timeout()).await;
    let client = service.client(service.frontends).await;
    let _unfinished = start_large_request(&service, &client, BUDGET).await;

    let (response, mut sending) = client.begin_unfinished_request(open_session()).await;
    sending.send_data(message(5 * MIB).split_to(5), false).unwrap();

    assert_eq!(with_timeout(reply(response)).await.unwrap().reason(), "REQUEST_TOO_LARGE");
}
