//! The setting `protocols`: what is served when one of them is switched off.

use bytes::Bytes;
use cloakroom::server::{Protocols, Settings};
use http::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::calls::reason;
use crate::support::connect::{Codec, ConnectTransport, HttpVersion, Protocol, Target, Transport};
use crate::support::{StoreKind, TestService, long_timeouts};

async fn service(grpc: bool, connect: bool) -> TestService {
    let settings = Settings { protocols: Protocols { grpc, connect }, ..long_timeouts() };
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
        assert!(
            refused.message().starts_with("Connect is switched off here, by `protocols` in [server]"),
            "{refused:?}"
        );
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
            Protocol::Grpc => {
                let refused = opened.err().unwrap();
                assert_eq!(reason(&refused).1, "CONTENT_TYPE_UNSUPPORTED");
                assert!(refused.message().starts_with("gRPC is switched off here, by `protocols` in [server]"));
            }
            Protocol::Connect(..) => assert!(opened.is_ok(), "{protocol:?}"),
        }
        let mut health = HealthClient::new(Transport::connect(&service.address, protocol).await);
        assert!(health.check(HealthCheckRequest::default()).await.is_ok(), "{protocol:?}");
        // Operators have their tools.
        assert!(service.try_list(Default::default()).await.is_ok(), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_refusal_advises_only_what_is_served() {
    for (grpc, connect, advised, off) in
        [(true, false, "application/grpc", "application/json"), (false, true, "application/json", "application/grpc")]
    {
        let service = service(grpc, connect).await;
        let address = service.address.strip_prefix("http://").unwrap().parse().unwrap();
        let client = ConnectTransport::new(Target::Tcp(address), Codec::Json, HttpVersion::Http2);
        let call = Request::post("http://localhost/cloakroom.v1.SessionService/OpenSession");

        let response = client.request(call.header("content-type", "text/plain").body(Bytes::new()).unwrap()).await;

        let words = String::from_utf8_lossy(response.body()).into_owned();
        assert!(words.contains(advised) && !words.contains(off), "{words}");
    }
}
