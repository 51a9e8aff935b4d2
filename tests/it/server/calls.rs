//! Calls: timeouts, limits, panics, and requests that are not gRPC.

use bytes::Bytes;
use cloakroom::server::Settings;
use http::{Method, Request, StatusCode};
use tonic::Code;

use super::support::client::{reply, request, request_with};
use super::support::test_server::{TestServer, eventually, ms, settings, with_timeout};

#[tokio::test]
async fn a_call_is_answered_by_the_service() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;

    let answer = client.send(request("Echo"), Bytes::from_static(b"coat")).await;

    assert_eq!((answer.code(), answer.body.as_ref()), (Code::Ok, b"coat".as_slice()));
    assert_eq!(server.close().await.cut_connections, 0);
}

#[tokio::test]
async fn a_caller_can_shorten_the_timeout() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;

    let answer = client.send(request_with("Wait", "grpc-timeout", "50m"), Bytes::new()).await;

    assert_eq!((answer.code(), answer.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(answer.message().contains("50ms"), "{}", answer.message());
}

#[tokio::test]
async fn a_caller_cannot_lengthen_the_timeout() {
    let server = TestServer::start(&Settings { call_timeout: ms(50), ..settings() }).await;
    let client = server.client().await;

    let answer = client.send(request_with("Wait", "grpc-timeout", "1H"), Bytes::new()).await;

    assert_eq!((answer.code(), answer.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn a_request_that_never_ends_exceeds_the_timeout() {
    let server = TestServer::start(&Settings { call_timeout: ms(50), ..settings() }).await;
    let client = server.client().await;

    let (response, _unfinished) = client.begin_unfinished("Echo").await;

    assert_eq!(reply(response).await.unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_stream_can_last_longer_than_the_timeout() {
    let server = TestServer::start(&Settings { call_timeout: ms(50), ..settings() }).await;
    let client = server.client().await;

    let response = client.begin("Stream").await;
    server.echo.has_begun().await;
    tokio::time::sleep(ms(150)).await;
    server.echo.release();

    assert_eq!(reply(response).await.unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn a_malformed_timeout_is_refused() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;

    for timeout in ["with_timeout", "123456789S", "5", "-1S"] {
        let answer = client.send(request_with("Echo", "grpc-timeout", timeout), Bytes::new()).await;

        assert_eq!((answer.code(), answer.reason().as_str()), (Code::InvalidArgument, "GRPC_TIMEOUT_INVALID"));
    }
}

#[tokio::test]
async fn a_panic_ends_one_call_and_no_connection() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;

    let answer = client.call("Panic").await;

    assert_eq!((answer.code(), answer.reason().as_str()), (Code::Internal, "INTERNAL"));
    assert!(!answer.message().contains("the test asked for it"), "{}", answer.message());
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_the_stream_with_a_status() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;

    let answer = client.call("PanicLate").await;

    assert_eq!((answer.code(), answer.reason().as_str()), (Code::Internal, "INTERNAL"));
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn a_call_over_the_limit_is_refused_until_another_ends() {
    let server = TestServer::start(&Settings { max_calls: 1, ..settings() }).await;
    let (client, other) = (server.client().await, server.client().await);
    let running = client.begin("Wait").await;
    server.echo.has_begun().await;

    let answer = other.call("Echo").await;

    assert_eq!((answer.code(), answer.reason().as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    server.echo.release();
    assert_eq!(reply(running).await.unwrap().code(), Code::Ok);
    assert_eq!(other.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn an_open_stream_does_not_count_as_a_running_call() {
    let server = TestServer::start(&Settings { max_calls: 1, ..settings() }).await;
    let client = server.client().await;
    let stream = client.begin("Stream").await;
    server.echo.has_begun().await;

    assert_eq!(client.call("Echo").await.code(), Code::Ok);

    server.echo.release();
    assert_eq!(reply(stream).await.unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn a_cancelled_call_no_longer_counts() {
    let server = TestServer::start(&Settings { max_calls: 1, ..settings() }).await;
    let client = server.client().await;
    let running = client.begin("Wait").await;
    server.echo.has_begun().await;

    drop(running);

    eventually(async || client.call("Echo").await.code() == Code::Ok).await;
}

#[tokio::test]
async fn a_request_of_no_protocol_is_refused_by_http_status() {
    let server = TestServer::start(&settings()).await;
    let client = server.client().await;
    let mut get = request("Echo");
    *get.method_mut() = Method::GET;

    for kind in ["application/grpc-web", "text/plain", ""] {
        let answer = client.send(request_with("Echo", "content-type", kind), Bytes::new()).await;

        assert_eq!(answer.http, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
    for kind in ["application/grpc+proto", "application/grpc;charset=utf-8"] {
        let answer = client.send(request_with("Echo", "content-type", kind), Bytes::new()).await;

        assert_eq!(answer.code(), Code::Ok, "{kind}");
    }
    let tunnel = Request::connect("localhost:80").header("content-type", "application/grpc").body(()).unwrap();
    assert_eq!(client.send(tunnel, Bytes::new()).await.http, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.send(get, Bytes::new()).await.http, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_limit_of_concurrent_streams_is_advertised() {
    let server = TestServer::start(&Settings { max_concurrent_streams: 7, ..settings() }).await;
    let client = server.client().await;

    with_timeout(client.call("Echo")).await;

    assert_eq!(client.max_streams(), 7);
}
