//! Reflection: generic tools can list the services and read the errors.

use std::process::{Command, Output};

use cloakroom::grpc::wire::OpenSessionRequest;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use tonic::Code;
use tonic::codegen::tokio_stream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::process::child::eventually;
use crate::support::connect::{Protocol, Transport};
use crate::support::tool::tool;
use crate::support::{StoreKind, TestService};

#[tokio::test]
async fn both_reflections_list_the_services() {
    let service = TestService::new(StoreKind::Memory).await;

    let (v1, v1alpha) = (services_v1(&service).await, services_v1alpha(&service).await);

    for name in ["cloakroom.v1.SessionService", "envoy.service.auth.v3.Authorization", "grpc.health.v1.Health"] {
        assert!(v1.contains(&name.to_owned()), "{v1:?}");
        assert!(v1alpha.contains(&name.to_owned()), "{v1alpha:?}");
    }
}

#[tokio::test]
async fn both_reflections_know_messages_methods_and_the_details_of_errors() {
    let service = TestService::new(StoreKind::Memory).await;
    let symbols = [
        "cloakroom.v1.SessionService",
        "cloakroom.v1.SessionService.SaveSession",
        "cloakroom.v1.Changes",
        "google.rpc.ErrorInfo",
        "envoy.service.auth.v3.CheckRequest",
        "envoy.config.core.v3.HeaderValueOption",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
    ];

    for symbol in symbols {
        assert!(file_v1(&service, symbol).await.is_some(), "v1 does not know {symbol}");
        assert!(file_v1alpha(&service, symbol).await.is_some(), "v1alpha does not know {symbol}");
    }
    assert!(file_v1(&service, "cloakroom.v1.Unknown").await.is_none());
}

#[tokio::test]
async fn grpcurl_lists_and_describes_the_service() {
    let service = TestService::new(StoreKind::Memory).await;

    let list = grpcurl(&service, &[], &["list"]).await;
    let description = grpcurl(&service, &[], &["describe", "cloakroom.v1.SessionService"]).await;

    assert!(text(&list.stdout).lines().any(|line| line == "cloakroom.v1.SessionService"), "{}", text(&list.stderr));
    assert!(text(&description.stdout).contains("rpc SaveSession ( .cloakroom.v1.SaveSessionRequest )"));
}

#[tokio::test]
async fn grpcurl_opens_a_session() {
    let service = TestService::new(StoreKind::Memory).await;

    let opened = grpcurl(&service, &["-d", "{}"], &["cloakroom.v1.SessionService/OpenSession"]).await;

    assert!(opened.status.success(), "{}", text(&opened.stderr));
    assert!(text(&opened.stdout).contains("\"token\": \"t1."));
}

#[tokio::test]
async fn grpcurl_prints_the_reason_of_an_error() {
    let service = TestService::new(StoreKind::Memory).await;
    let save = r#"{"token": "v1.x", "changes": {"set": {"a": {"json": "1"}}}}"#;

    let saved = grpcurl(&service, &["-d", save], &["cloakroom.v1.SessionService/SaveSession"]).await;

    let error = text(&saved.stderr);
    assert!(!saved.status.success());
    assert!(error.contains("Code: InvalidArgument"), "{error}");
    assert!(error.contains("google.rpc.ErrorInfo") && error.contains("TOKEN_INVALID") && error.contains("cloakroom"));
}

#[tokio::test]
async fn the_admin_listener_has_health_and_reflection() {
    let mut service = TestService::new(StoreKind::Memory).await;
    service.address.clone_from(&service.admin_address);

    let (v1, v1alpha) = (services_v1(&service).await, services_v1alpha(&service).await);
    let mut health = HealthClient::new(channel(&service).await);
    let check = HealthCheckRequest { service: "cloakroom.v1.AdminService".to_owned() };
    let health = health.check(check).await.unwrap();

    assert!(v1.contains(&"cloakroom.v1.AdminService".to_owned()), "{v1:?}");
    assert!(v1alpha.contains(&"cloakroom.v1.AdminService".to_owned()), "{v1alpha:?}");
    assert!(file_v1(&service, "cloakroom.v1.AdminService.RevokeSubject").await.is_some());
    assert_eq!(health.get_ref().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_connection_may_have_few_watches_of_the_health_until_a_call_is_answered() {
    let service = TestService::new(StoreKind::Memory).await;
    let channel = Transport::connect(&service.address, Protocol::Grpc).await;
    let mut health = HealthClient::new(channel.clone());
    let check = HealthCheckRequest { service: "cloakroom.v1.SessionService".to_owned() };
    let mut watches = Vec::new();
    for _ in 0..16 {
        watches.push(health.watch(check.clone()).await.unwrap());
    }

    let refused = health.watch(check.clone()).await.err().unwrap();
    drop(watches.pop());
    eventually("room for one", async || health.clone().watch(check.clone()).await.ok()).await;
    SessionServiceClient::new(channel).open_session(OpenSessionRequest::default()).await.unwrap();
    let after_a_call = health.watch(check).await;

    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(after_a_call.is_ok());
}

async fn services_v1(service: &TestService) -> Vec<String> {
    use v1::server_reflection_response::MessageResponse;
    match ask_v1(service, v1::server_reflection_request::MessageRequest::ListServices(String::new())).await {
        MessageResponse::ListServicesResponse(list) => list.service.into_iter().map(|service| service.name).collect(),
        _ => panic!("the answer is not a list"),
    }
}

async fn file_v1(service: &TestService, symbol: &str) -> Option<Vec<Vec<u8>>> {
    use v1::server_reflection_response::MessageResponse;
    let request = v1::server_reflection_request::MessageRequest::FileContainingSymbol(symbol.to_owned());
    match ask_v1(service, request).await {
        MessageResponse::FileDescriptorResponse(file) => Some(file.file_descriptor_proto),
        _ => None,
    }
}

async fn ask_v1(
    service: &TestService,
    request: v1::server_reflection_request::MessageRequest,
) -> v1::server_reflection_response::MessageResponse {
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(service).await);
    // An unknown symbol is either an error of the stream or a message in it.
    match client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner().message().await {
        Ok(answer) => answer.unwrap().message_response.unwrap(),
        Err(status) => v1::server_reflection_response::MessageResponse::ErrorResponse(v1::ErrorResponse {
            error_code: status.code().into(),
            error_message: status.message().to_owned(),
        }),
    }
}

async fn services_v1alpha(service: &TestService) -> Vec<String> {
    use v1alpha::server_reflection_response::MessageResponse;
    match ask_v1alpha(service, v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())).await {
        MessageResponse::ListServicesResponse(list) => list.service.into_iter().map(|service| service.name).collect(),
        _ => panic!("the answer is not a list"),
    }
}

async fn file_v1alpha(service: &TestService, symbol: &str) -> Option<Vec<Vec<u8>>> {
    use v1alpha::server_reflection_response::MessageResponse;
    let request = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol.to_owned());
    match ask_v1alpha(service, request).await {
        MessageResponse::FileDescriptorResponse(file) => Some(file.file_descriptor_proto),
        _ => None,
    }
}

async fn ask_v1alpha(
    service: &TestService,
    request: v1alpha::server_reflection_request::MessageRequest,
) -> v1alpha::server_reflection_response::MessageResponse {
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(service).await);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap().message_response.unwrap()
}

async fn channel(service: &TestService) -> Transport {
    Transport::connect(&service.address, Protocol::default()).await
}

/// Runs grpcurl without blocking the service.
async fn grpcurl(service: &TestService, flags: &[&str], call: &[&str]) -> Output {
    let address = service.address.trim_start_matches("http://");
    let arguments: Vec<String> =
        [&["-plaintext"], flags, &[address], call].concat().into_iter().map(str::to_owned).collect();
    let run = move || {
        let output = Command::new(tool("grpcurl")).args(arguments).output();
        output.expect("grpcurl is missing: `make tools` installs it into .tools/bin; or put it on PATH")
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
