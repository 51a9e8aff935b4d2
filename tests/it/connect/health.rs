//! Health and reflection by each protocol.

use std::time::Duration;

use cloakroom::server;
use tonic::Code;
use tonic::codegen::tokio_stream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::admin::http_pages::await_metric;
use crate::support::calls::{reason, refused};
use crate::support::connect::{Protocol, Transport};
use crate::support::{StoreKind, TestService};

const SERVICE: &str = "cloakroom.v1.SessionService";

fn check() -> HealthCheckRequest {
    HealthCheckRequest { service: SERVICE.to_owned() }
}

#[tokio::test]
async fn health_is_checked_and_watched_by_each_protocol() {
    let service = TestService::new(StoreKind::Memory).await;
    await_metric(&service, "cloakroom_serving", 1.0).await;
    let mut watches = Vec::new();

    for protocol in Protocol::ALL {
        let mut health = HealthClient::new(Transport::connect(&service.address, protocol).await);
        assert_eq!(health.check(check()).await.unwrap().into_inner().status(), ServingStatus::Serving, "{protocol:?}");
        let mut watch = health.watch(check()).await.unwrap().into_inner();
        let first = watch.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving, "{protocol:?}");
        watches.push((protocol, watch));
    }

    service.stop();
    for (protocol, mut watch) in watches {
        let next = watch.message().await.unwrap().unwrap();
        assert_eq!(next.status(), ServingStatus::NotServing, "{protocol:?}");
        assert_eq!(
            reason(&refused(watch.message().await)),
            (Code::Unavailable, "GOING_AWAY".to_owned()),
            "{protocol:?}"
        );
    }
}

#[tokio::test]
async fn a_watch_of_the_health_ends_with_its_connection_by_each_protocol() {
    let settings = server::Settings { max_connection_age: Duration::from_millis(500), ..Default::default() };
    let service = TestService::with_server(StoreKind::Memory, settings).await;

    for protocol in Protocol::ALL {
        let mut health = HealthClient::new(Transport::connect(&service.address, protocol).await);
        let mut watch = health.watch(check()).await.unwrap().into_inner();

        let ended = loop {
            if let Err(status) = watch.message().await {
                break status;
            }
        };

        assert_eq!(reason(&ended), (Code::Unavailable, "GOING_AWAY".to_owned()), "{protocol:?}");
    }
}

#[tokio::test]
async fn an_unknown_service_has_no_health_by_each_protocol() {
    let service = TestService::new(StoreKind::Memory).await;

    for protocol in Protocol::ALL {
        let mut health = HealthClient::new(Transport::connect(&service.address, protocol).await);
        let check = HealthCheckRequest { service: "unknown".to_owned() };
        assert_eq!(health.check(check).await.err().unwrap().code(), Code::NotFound, "{protocol:?}");
    }
}

#[tokio::test]
async fn both_reflections_list_the_services_by_each_protocol() {
    let service = TestService::new(StoreKind::Memory).await;

    for protocol in Protocol::ALL {
        let transport = Transport::connect(&service.address, protocol).await;
        let mut client = v1::server_reflection_client::ServerReflectionClient::new(transport.clone());
        let request = v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        };
        let mut responses =
            client.server_reflection_info(tokio_stream::iter([request.clone(), request])).await.unwrap().into_inner();
        for _ in 0..2 {
            let response = responses.message().await.unwrap().unwrap().message_response.unwrap();
            let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = response else {
                panic!("the response is not a list")
            };
            assert!(list.service.iter().any(|service| service.name == SERVICE), "{protocol:?}");
        }
        assert!(responses.message().await.unwrap().is_none());

        let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(transport);
        let request = v1alpha::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                "cloakroom.v1.Changes".to_owned(),
            )),
        };
        let mut responses = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
        let response = responses.message().await.unwrap().unwrap().message_response.unwrap();
        let is_file =
            matches!(response, v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_));
        assert!(is_file, "{protocol:?}");
    }
}
