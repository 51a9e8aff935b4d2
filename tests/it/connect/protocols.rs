//! The setting `protocols`: what is served when one of them is switched off.

use cloakroom::server::{Protocols, Settings};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::calls::reason;
use crate::support::connect::{Codec, HttpVersion, Protocol, Transport};
use crate::support::{StoreKind, TestService, patient};

async fn service(grpc: bool, connect: bool) -> TestService {
    let settings = Settings { protocols: Protocols { grpc, connect }, ..patient() };
    TestService::with_server(StoreKind::Memory, settings).await
}

#[tokio::test]
async fn without_connect_only_grpc_is_answered() {
    let mut service = service(true, false).await;

    service.use_protocol(Protocol::Grpc).await;
    service.open_new().await;
    for codec in [Codec::Proto, Codec::Json] {
        service.use_protocol(Protocol::Connect(codec, HttpVersion::Http2)).await;
        let refused = service.try_open(Default::default()).await.err().unwrap();
        assert_eq!(reason(&refused).1, "CONTENT_TYPE_UNSUPPORTED");
        // HTTP/1.1 is not even understood.
        service.use_protocol(Protocol::Connect(codec, HttpVersion::Http1)).await;
        assert_eq!(service.try_open(Default::default()).await.err().unwrap().code(), tonic::Code::Unavailable);
    }
}

#[tokio::test]
async fn without_grpc_only_connect_and_health_are_answered() {
    let mut service = service(false, true).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let opened = service.try_open(Default::default()).await;
        match protocol {
            Protocol::Grpc => assert_eq!(reason(&opened.err().unwrap()).1, "CONTENT_TYPE_UNSUPPORTED"),
            Protocol::Connect(..) => assert!(opened.is_ok(), "{protocol:?}"),
        }
        let mut health = HealthClient::new(Transport::connect(&service.address, protocol).await);
        assert!(health.check(HealthCheckRequest::default()).await.is_ok(), "{protocol:?}");
        // Operators have their tools.
        assert!(service.try_list(Default::default()).await.is_ok(), "{protocol:?}");
    }
}
