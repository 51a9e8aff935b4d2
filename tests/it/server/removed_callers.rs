//! Callers that are dropped in the middle of what they do.

use std::collections::BTreeMap;

use bytes::Bytes;
use cloakroom::auth::{Callers, Role};
use h2::RecvStream;
use http::Request;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::page_access::metric;
use super::support::authority::Hello;
use super::support::client::{Client, reply, request};
use super::support::test_server::{eventually, soon};
use super::support::tls_service::{Secured, caller, token, uri};

/// A message without a field.
const EMPTY: Bytes = Bytes::from_static(&[0; 5]);

async fn service() -> Secured {
    let callers = [("shop", Role::Frontend), ("desk", Role::Admin), ("watcher", Role::Monitor)];
    Secured::new(callers.map(|(name, role)| caller(name, role, "*")).into()).await
}

fn call(method: &str) -> Request<()> {
    let mut call = request("");
    *call.uri_mut() = format!("http://test/cloakroom.v1.{method}").parse().unwrap();
    call
}

/// Has it know nobody but the monitor.
fn forget_all_but_the_monitor(service: &Secured) {
    let left = BTreeMap::from([caller("watcher", Role::Monitor, "*")]);
    service.know(Callers::build(&left).unwrap());
}

/// The status that a stream ends with.
async fn end(mut stream: RecvStream) -> Status {
    while let Some(chunk) = soon(stream.data()).await {
        let _ = stream.flow_control().release_capacity(chunk.unwrap().len());
    }
    Status::from_header_map(&soon(stream.trailers()).await.unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_stream_of_a_certificate_ends_when_it_is_nobodys() {
    let service = service().await;
    let (authority, own) = (service.authority.pem(), service.authority.sign(&uri("desk")));
    let hello = Hello { shows: Some(&own), ..Hello::trusting(&authority) };
    let client = Client::over(hello.connect(service.operators).await.unwrap()).await;
    let response = client.begin_message(call("AdminService/WatchEvents"), EMPTY).await;
    let mut stream = soon(response).await.unwrap().into_body();
    assert!(soon(stream.data()).await.unwrap().is_ok(), "it has begun");

    forget_all_but_the_monitor(&service);

    let status = end(stream).await;
    let reason = status.get_details_error_info().unwrap().reason;
    assert_eq!((status.code(), reason.as_str()), (Code::Unauthenticated, "CALLER_UNKNOWN"));
    let name = "cloakroom_calls_total{rpc=\"cloakroom.v1.AdminService/WatchEvents\",code=\"UNAUTHENTICATED\"}";
    assert_eq!(metric(&service, name).await, 1);
}

#[tokio::test]
async fn a_call_that_was_let_in_is_finished() {
    let service = service().await;
    let client = service.client(service.frontends).await;
    let mut policy = call("SessionService/GetAppPolicy");
    policy.headers_mut().insert("authorization", format!("Bearer {}", token("shop")).parse().unwrap());
    let (response, mut sending) = client.begin_unfinished_request(policy).await;
    eventually(async || metric(&service, "cloakroom_streams{listener=\"frontends\"}").await == 1).await;

    forget_all_but_the_monitor(&service);
    sending.send_data(EMPTY, true).unwrap();

    assert_eq!(reply(response).await.unwrap().code(), Code::Ok);
}
