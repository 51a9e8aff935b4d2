//! Streams by the Connect protocol.

use bytes::{BufMut as _, Bytes, BytesMut};
use cloakroom::grpc::wire::{EndReason, SessionEventKind, WatchEventsRequest};
use http::Request;
use tonic_types::StatusExt as _;

use crate::support::calls::ChangesExt as _;
use crate::support::connect::{
    Codec, ConnectTransport, HttpVersion, Protocol, Target, content_type, envelope, status, take,
};
use crate::support::{StoreKind, TestService};

const WATCH: &str = "http://localhost/cloakroom.v1.SessionService/WatchSession";
const REFLECT: &str = "http://localhost/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[tokio::test]
async fn a_watch_says_how_its_session_ends() {
    let mut service = TestService::new(StoreKind::Memory).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let token = service.stored(&[("a", "1")]).await;
        let watch = service.watch(&token).await;
        service.destroy(&token).await;
        assert_eq!(watch.ended().await, EndReason::Destroyed, "{protocol:?}");
    }
}

#[tokio::test]
async fn events_are_followed_and_resumed() {
    let mut service = TestService::new(StoreKind::Memory).await;
    let mut cursor = String::new();

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let mut admin = service.admin.clone();
        let request = WatchEventsRequest { cursor: cursor.clone(), ..Default::default() };
        let mut events = admin.watch_events(request).await.unwrap().into_inner();
        let first = events.message().await.unwrap().unwrap();
        assert!(first.events.is_empty(), "{protocol:?}: the events before the cursor are not sent again");
        let id = service.logged_in("ann").await.id;
        let batch = events.message().await.unwrap().unwrap();
        let created = batch.events.iter().any(|event| event.id == id && event.kind() == SessionEventKind::Created);
        assert!(created, "{protocol:?}");
        cursor = batch.cursor;
    }
}

/// Sends the body of a stream; returns the messages of the response and the reason of its end.
async fn stream(
    service: &TestService,
    uri: &str,
    codec: Codec,
    version: HttpVersion,
    body: Bytes,
) -> (Vec<Bytes>, String) {
    let address = service.address.strip_prefix("http://").unwrap().parse().unwrap();
    let client = ConnectTransport::new(Target::Tcp(address), codec, version);
    let call = Request::post(uri).header("content-type", content_type(true, codec)).body(body).unwrap();
    let response = client.request(call).await;
    assert_eq!(response.status(), 200);
    let (mut rest, mut messages) = (BytesMut::from(&**response.body()), Vec::new());
    loop {
        match take(&mut rest).expect("the last envelope says how the stream ended") {
            (0, message) => messages.push(message),
            (2, json) => {
                assert!(rest.is_empty());
                let end: serde_json::Value = serde_json::from_slice(&json).unwrap();
                let error = end.get("error").map(status);
                let reason = error.map(|status| status.get_details_error_info().unwrap().reason).unwrap_or_default();
                return (messages, reason);
            }
            (flag, _) => panic!("the flag {flag}"),
        }
    }
}

fn declared(length: u32) -> Bytes {
    let mut prefix = BytesMut::new();
    prefix.put_u8(0);
    prefix.put_u32(length);
    prefix.freeze()
}

#[tokio::test]
async fn a_stream_whose_request_is_not_one_says_why() {
    let service = TestService::new(StoreKind::Memory).await;
    let json = |text: &str| envelope(text.as_bytes());
    let flagged = |flag: u8, text: &str| {
        let mut envelope = BytesMut::from(&*json(text));
        envelope[0] = flag;
        envelope.freeze()
    };

    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        for (codec, uri, body, expected) in [
            (Codec::Json, WATCH, Bytes::new(), "REQUEST_MALFORMED"),
            (Codec::Proto, WATCH, Bytes::new(), "REQUEST_MALFORMED"),
            (Codec::Json, WATCH, json("{}"), "TOKEN_MISSING"),
            (Codec::Proto, WATCH, json(""), "TOKEN_MISSING"),
            (Codec::Json, WATCH, json("{\"tokens\":\"\"}"), "REQUEST_MALFORMED"),
            (Codec::Json, WATCH, json(""), "REQUEST_MALFORMED"),
            (Codec::Json, WATCH, json("{}").slice(..6), "REQUEST_MALFORMED"),
            (Codec::Json, WATCH, json("{}").slice(..3), "REQUEST_MALFORMED"),
            (Codec::Proto, WATCH, declared(3), "REQUEST_MALFORMED"),
            (Codec::Json, WATCH, flagged(1, "{}"), "COMPRESSION_UNSUPPORTED"),
            (Codec::Json, WATCH, flagged(2, "{}"), "REQUEST_MALFORMED"),
            (Codec::Proto, WATCH, declared(u32::MAX), "REQUEST_TOO_LARGE"),
            (Codec::Json, WATCH, declared(u32::MAX), "REQUEST_TOO_LARGE"),
            (Codec::Json, WATCH, declared((4 << 20) + 1), "REQUEST_TOO_LARGE"),
            (Codec::Json, REFLECT, Bytes::new(), ""),
            (Codec::Proto, REFLECT, Bytes::new(), ""),
        ] {
            let (messages, reason) = stream(&service, uri, codec, version, body.clone()).await;
            assert_eq!((messages.len(), &*reason), (0, expected), "{codec:?} {version:?} {body:?}");
        }
    }
}

#[tokio::test]
async fn the_messages_of_a_stream_in_json_are_json() {
    let service = TestService::new(StoreKind::Memory).await;
    let requests = [r#"{"listServices":""}"#, r#"{"fileContainingSymbol":"cloakroom.v1.Changes"}"#];
    let body: Bytes = requests.iter().flat_map(|request| envelope(request.as_bytes())).collect();

    let (messages, reason) = stream(&service, REFLECT, Codec::Json, HttpVersion::Http1, body).await;

    let list: serde_json::Value = serde_json::from_slice(&messages[0]).unwrap();
    let services = list["listServicesResponse"]["service"].as_array().unwrap();
    assert!(services.iter().any(|service| service["name"] == "cloakroom.v1.SessionService"), "{list}");
    let file: serde_json::Value = serde_json::from_slice(&messages[1]).unwrap();
    assert!(file["fileDescriptorResponse"]["fileDescriptorProto"][0].is_string(), "{file}");
    assert_eq!((messages.len(), &*reason), (2, ""));
}

#[tokio::test]
async fn a_save_by_each_protocol_is_seen_by_the_others() {
    let mut service = TestService::new(StoreKind::Memory).await;
    let token = service.stored(&[("a", "1")]).await;

    for (number, protocol) in Protocol::ALL.into_iter().enumerate() {
        service.use_protocol(protocol).await;
        let changes = cloakroom::grpc::wire::Changes::default().set("a", &number.to_string()).increment("n", 1);
        let changes = changes.set_raw("raw", &[0, 255, b'"']);
        let saved = service.save(crate::support::calls::save(&token, changes)).await;
        assert_eq!(saved.counters["n"], i64::try_from(number).unwrap() + 1);
        for protocol in Protocol::ALL {
            service.use_protocol(protocol).await;
            let entries = service.entries(&token).await;
            assert_eq!((&*entries["a"], &*entries["raw"]), (&*number.to_string(), "raw [0, 255, 34]"), "{protocol:?}");
        }
    }
}
