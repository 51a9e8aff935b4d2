//! Callers that are removed during a call or a stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use cloakroom::auth::{Callers, Role};
use h2::RecvStream;
use http::Request;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::page_access::metric;
use super::support::client::{Client, reply, request};
use super::support::test_server::{eventually, with_timeout};
use super::support::tls_service::{TlsService, caller, token, uri};
use crate::support::authority::TlsClient;

/// A message without a field.
const EMPTY: Bytes = Bytes::from_static(&[0; 5]);

async fn service() -> TlsService {
    let callers = [("shop", Role::Frontend), ("desk", Role::Admin), ("watcher", Role::Monitor)];
    TlsService::new(callers.map(|(name, role)| caller(name, role, "*")).into()).await
}

fn call(method: &str) -> Request<()> {
    let mut call = request("");
    *call.uri_mut() = format!("http://localhost/cloakroom.v1.{method}").parse().unwrap();
    call
}

/// Removes all callers but the monitor.
fn remove_all_but_the_monitor(service: &TlsService) {
    let remaining = BTreeMap::from([caller("watcher", Role::Monitor, "*")]);
    service.set_callers(Callers::build(&remaining).unwrap());
}

/// Reads a stream to its end; returns its status.
async fn end_status(mut stream: RecvStream) -> Status {
    while let Some(chunk) = with_timeout(stream.data()).await {
        let _ = stream.flow_control().release_capacity(chunk.unwrap().len());
    }
    Status::from_header_map(&with_timeout(stream.trailers()).await.unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_is_removed() {
    let service = service().await;
    let (authority, own) = (service.authority.pem(), service.authority.sign(&uri("desk")));
    let tls_client = TlsClient { identity: Some(&own), ..TlsClient::trusting(&authority) };
    let client = Client::over(tls_client.connect(service.operators).await.unwrap()).await;
    let response = client.begin_message(call("AdminService/WatchEvents"), EMPTY).await;
    let mut stream = with_timeout(response).await.unwrap().into_body();
    assert!(with_timeout(stream.data()).await.unwrap().is_ok(), "it has begun");

    remove_all_but_the_monitor(&service);

    let status = end_status(stream).await;
    let reason = status.get_details_error_info().unwrap().reason;
    assert_eq!((status.code(), reason.as_str()), (Code::Unauthenticated, "CALLER_UNKNOWN"));
    let name = "cloakroom_calls_total{rpc=\"cloakroom.v1.AdminService/WatchEvents\",protocol=\"grpc\",code=\"UNAUTHENTICATED\"}";
    assert_eq!(metric(&service, name).await, 1);
}

#[tokio::test]
async fn a_running_call_of_a_removed_caller_is_finished() {
    let service = service().await;
    let client = service.client(service.frontends).await;
    let mut policy = call("SessionService/GetAppPolicy");
    policy.headers_mut().insert("authorization", format!("Bearer {}", token("shop")).parse().unwrap());
    let (response, mut sending) = client.begin_unfinished_request(policy).await;
    eventually(async || metric(&service, "cloakroom_streams{listener=\"frontends\"}").await == 1).await;

    remove_all_but_the_monitor(&service);
    sending.send_data(EMPTY, true).unwrap();

    assert_eq!(reply(response).await.unwrap().code(), Code::Ok);
}
