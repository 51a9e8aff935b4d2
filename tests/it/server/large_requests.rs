//! Large requests: how many bytes of them there may be at once, and that small ones do not notice.

use bytes::{Bytes, BytesMut};
use cloakroom::auth::Role;
use cloakroom::server::Settings;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::Request;
use tonic::Code;

use super::page_access::metric;
use super::support::client::{Client, Reply, reply, request};
use super::support::test_server::{TestServer, eventually, ms, settings, soon};
use super::support::tls_service::{Secured, caller, token};

const MIB: usize = 1024 * 1024;
/// The least budget there may be.
const BUDGET: usize = 4 * MIB;
/// The largest message that counts as small.
const SMALL: usize = 64 * 1024;

async fn service(settings: Settings) -> Secured {
    let callers = [("shop", Role::Frontend), ("watcher", Role::Monitor)];
    let settings = Settings { request_budget_bytes: BUDGET, ..settings };
    Secured::with(callers.map(|(name, role)| caller(name, role, "*")).into(), settings).await
}

/// Settings under which nothing that hangs ends by itself.
fn patient() -> Settings {
    Settings { call_timeout: ms(600_000), ..settings() }
}

fn open_session() -> Request<()> {
    let mut call = request("");
    *call.uri_mut() = "http://test/cloakroom.v1.SessionService/OpenSession".parse().unwrap();
    call.headers_mut().insert("authorization", format!("Bearer {}", token("shop")).parse().unwrap());
    call
}

/// An `OpenSessionRequest` of so many bytes, nearly all in a field that nobody knows.
fn message(bytes: usize) -> Bytes {
    let mut message = BytesMut::from(&[0][..]);
    message.extend_from_slice(&u32::try_from(bytes).unwrap().to_be_bytes());
    // Field 100, as bytes: two bytes say so, four how many come.
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

/// A request of so many bytes that stops in the middle, and has been let in.
async fn hang(service: &Secured, client: &Client, bytes: usize) -> (ResponseFuture, SendStream<Bytes>) {
    let before = taken(service).await;
    let (response, mut sending) = client.begin_unfinished_request(open_session()).await;
    sending.send_data(message(bytes).split_to(1000), false).unwrap();
    until_taken(service, before + bytes).await;
    (response, sending)
}

async fn taken(service: &Secured) -> usize {
    let taken = metric(service, "cloakroom_large_request_bytes{listener=\"frontends\"}").await;
    usize::try_from(taken).unwrap()
}

async fn until_taken(service: &Secured, bytes: usize) {
    eventually(async || taken(service).await == bytes).await;
}

fn is_refused(reply: &Reply) -> bool {
    reply.code() == Code::ResourceExhausted && reply.reason() == "OVERLOADED" && reply.message().contains("large")
}

#[tokio::test]
async fn a_large_request_too_many_is_refused_and_small_ones_are_not() {
    let service = service(patient()).await;
    let (client, other) = (service.client(service.frontends).await, service.client(service.frontends).await);
    let (finished, mut rest) = hang(&service, &client, MIB).await;
    let _hanging = hang(&service, &client, 2 * MIB).await;

    assert!(is_refused(&open(&other, MIB + 1).await));
    assert_eq!(open(&other, MIB).await.code(), Code::Ok, "what fits");
    assert_eq!(open(&other, SMALL).await.code(), Code::Ok);
    let _full = hang(&service, &client, MIB).await;
    assert_eq!(open(&other, SMALL).await.code(), Code::Ok);
    assert!(is_refused(&open(&other, SMALL + 1).await));
    assert_eq!(metric(&service, "cloakroom_call_failures_total{reason=\"OVERLOADED\"}").await, 2);

    rest.send_data(message(MIB).split_off(1000), true).unwrap();

    assert_eq!(reply(finished).await.unwrap().code(), Code::Ok, "who was let in is answered");
    assert_eq!(open(&other, MIB).await.code(), Code::Ok, "and has made room");
}

#[tokio::test]
async fn what_a_request_takes_is_taken_until_its_answer_though_its_body_is_read() {
    let service = TestServer::open(&Settings { request_budget_bytes: BUDGET, ..patient() }).await;
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
async fn refusals_cost_a_connection_nothing() {
    let service = service(patient()).await;
    let (client, other) = (service.client(service.frontends).await, service.client(service.frontends).await);
    let hanging = hang(&service, &client, BUDGET).await;

    for _ in 0..20 {
        assert!(is_refused(&open(&other, MIB).await));
    }
    drop(hanging);
    until_taken(&service, 0).await;

    assert_eq!(open(&other, BUDGET).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_large_request_that_is_taken_back_or_lost_makes_room() {
    let service = service(patient()).await;
    let (client, other) = (service.client(service.frontends).await, service.client(service.frontends).await);

    let (_response, mut sending) = hang(&service, &client, BUDGET).await;
    sending.send_reset(h2::Reason::CANCEL);
    until_taken(&service, 0).await;

    let _hanging = hang(&service, &client, BUDGET).await;
    client.vanish();
    until_taken(&service, 0).await;
    assert_eq!(open(&other, BUDGET).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_large_request_that_takes_too_long_makes_room() {
    let service = service(Settings { call_timeout: ms(2000), ..settings() }).await;
    let client = service.client(service.frontends).await;

    let (response, _rest) = hang(&service, &client, BUDGET).await;

    assert_eq!(reply(response).await.unwrap().code(), Code::DeadlineExceeded);
    until_taken(&service, 0).await;
}

#[tokio::test]
async fn a_length_counts_in_whatever_pieces_it_comes_and_wherever_in_a_request() {
    let service = service(patient()).await;
    let client = service.client(service.frontends).await;

    // Byte by byte.
    let (_response, mut sending) = client.begin_unfinished_request(open_session()).await;
    for byte in message(2 * MIB).split_to(5) {
        sending.send_data(Bytes::copy_from_slice(&[byte]), false).unwrap();
    }
    until_taken(&service, 2 * MIB).await;
    // Behind a small message: one too many for a call like this, but it is read all the same.
    let (_another, mut sending) = client.begin_unfinished_request(open_session()).await;
    let two = [message(SMALL), message(MIB).split_to(5)].concat();
    sending.send_data(two.into(), false).unwrap();
    until_taken(&service, 3 * MIB).await;
}

#[tokio::test]
async fn whoever_need_not_say_who_calls_takes_nothing_of_what_callers_have() {
    let service = service(patient()).await;
    let client = service.client(service.frontends).await;
    let mut health = request("");
    *health.uri_mut() = "http://test/grpc.health.v1.Health/Check".parse().unwrap();

    let (response, mut sending) = client.begin_unfinished_request(health).await;
    sending.send_data(message(BUDGET).split_to(5), false).unwrap();

    assert_eq!(soon(reply(response)).await.unwrap().reason(), "REQUEST_TOO_LARGE");
    until_taken(&service, 0).await;
}

#[tokio::test]
async fn a_request_over_the_limit_of_one_takes_nothing_of_what_all_have() {
    let service = service(patient()).await;
    let client = service.client(service.frontends).await;
    let _hanging = hang(&service, &client, BUDGET).await;

    let (response, mut sending) = client.begin_unfinished_request(open_session()).await;
    sending.send_data(message(5 * MIB).split_to(5), false).unwrap();

    assert_eq!(soon(reply(response)).await.unwrap().reason(), "REQUEST_TOO_LARGE");
}
