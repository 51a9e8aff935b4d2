//! Calls by the Connect protocol: their limits, by each HTTP version and encoding.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cloakroom::server::Settings;
use http::{Request, Response};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::support::test_server::{TestServer, eventually, ms, settings, with_timeout};
use crate::support::connect::{Codec, ConnectTransport, HttpVersion, Target, content_type, status, take};

const VERSIONS: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];

fn client(address: SocketAddr, version: HttpVersion) -> ConnectTransport {
    ConnectTransport::new(Target::Tcp(address), Codec::Proto, version)
}

fn request(method: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Bytes> {
    let is_stream = ["Stream", "PanicLate"].contains(&method);
    let mut request = Request::post(format!("http://localhost/test.Echo/{method}"));
    request = request.header("content-type", content_type(is_stream, Codec::Proto));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn call(client: &ConnectTransport, method: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    with_timeout(client.request(request(method, headers, "coat"))).await
}

/// Returns the error of a response that is one.
fn error(response: &Response<Bytes>) -> (u16, Code, String, String) {
    let json: Value = serde_json::from_slice(response.body()).unwrap();
    let status: Status = status(&json);
    let reason = status.get_details_error_info().unwrap().reason;
    (response.status().as_u16(), status.code(), reason, status.message().to_owned())
}

#[tokio::test]
async fn a_call_is_answered_by_the_service() {
    let server = TestServer::start(&settings()).await;

    for version in VERSIONS {
        let client = client(server.address(), version);
        for body in [Bytes::new(), Bytes::from_static(b"coat"), Bytes::from(vec![7; 3 << 20])] {
            let response = with_timeout(client.request(request("Echo", &[], body.clone()))).await;

            assert_eq!(
                (response.status().as_u16(), response.headers()["content-type"].as_bytes()),
                (200, &b"application/proto"[..])
            );
            assert!(*response.body() == body, "{version:?}");
            assert!(!response.headers().contains_key("grpc-status"));
        }
    }
}

#[tokio::test]
async fn a_caller_can_shorten_the_timeout_and_cannot_lengthen_it() {
    let server = TestServer::start(&Settings { call_timeout: ms(200), ..settings() }).await;

    for version in VERSIONS {
        let client = client(server.address(), version);
        for (timeout, words) in [("50", "50ms"), ("0", "0s"), ("3600000", "200ms"), ("9999999999", "200ms")] {
            let response = call(&client, "Wait", &[("connect-timeout-ms", timeout)]).await;

            let (http, code, reason, message) = error(&response);
            assert_eq!((http, code, &*reason), (504, Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
            assert!(message.contains(words), "{version:?}: {message}");
        }
        for timeout in ["soon", "", "-1", "1.5", "12345678901"] {
            let (http, _, reason, _) = error(&call(&client, "Echo", &[("connect-timeout-ms", timeout)]).await);
            assert_eq!((http, &*reason), (400, "CONNECT_TIMEOUT_INVALID"), "{timeout}");
        }
        assert_eq!(call(&client, "Echo", &[]).await.status(), 200);
    }
}

#[tokio::test]
async fn a_grpc_timeout_is_no_timeout_of_a_connect_call() {
    let server = TestServer::start(&settings()).await;
    let client = client(server.address(), HttpVersion::Http1);

    assert_eq!(call(&client, "Echo", &[("grpc-timeout", "soon")]).await.status(), 200);
}

#[tokio::test]
async fn a_panic_ends_one_call_and_no_connection() {
    let server = TestServer::start(&settings()).await;

    for version in VERSIONS {
        let client = client(server.address(), version);

        let (http, code, reason, message) = error(&call(&client, "Panic", &[]).await);

        assert_eq!((http, code, &*reason), (500, Code::Internal, "INTERNAL"), "{version:?}");
        assert!(!message.contains("the test asked for it"), "{message}");
        assert_eq!(call(&client, "Echo", &[]).await.body(), "coat");
    }
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_the_stream_with_an_error() {
    let server = TestServer::start(&settings()).await;

    for version in VERSIONS {
        let client = client(server.address(), version);

        let response = call(&client, "PanicLate", &[]).await;

        assert_eq!(response.status(), 200);
        // The first byte is the beginning of a message that never came.
        let mut rest = BytesMut::from(&response.body()[1..]);
        let (flag, end) = take(&mut rest).unwrap();
        let status = status(&serde_json::from_slice::<Value>(&end).unwrap()["error"]);
        assert_eq!((flag, status.code()), (2, Code::Internal), "{version:?}");
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert_eq!(call(&client, "Echo", &[]).await.body(), "coat");
    }
}

#[tokio::test]
async fn a_call_over_the_limit_is_refused_until_another_ends() {
    let server = TestServer::start(&Settings { max_calls: 1, ..settings() }).await;

    for version in VERSIONS {
        let (client, other) = (client(server.address(), version), client(server.address(), version));
        let running = tokio::spawn(async move { call(&client, "Wait", &[]).await });
        server.echo.has_begun().await;

        let (http, code, reason, _) = error(&call(&other, "Echo", &[]).await);

        assert_eq!((http, code, &*reason), (429, Code::ResourceExhausted, "OVERLOADED"), "{version:?}");
        server.echo.release();
        assert_eq!(running.await.unwrap().status(), 200);
        eventually(async || call(&other, "Echo", &[]).await.status() == 200).await;
    }
}

#[tokio::test]
async fn an_open_stream_does_not_count_as_a_running_call() {
    let server = TestServer::start(&Settings { max_calls: 1, ..settings() }).await;

    for version in VERSIONS {
        let (client, other) = (client(server.address(), version), client(server.address(), version));
        let stream = tokio::spawn(async move { call(&client, "Stream", &[]).await });
        server.echo.has_begun().await;

        assert_eq!(call(&other, "Echo", &[]).await.status(), 200, "{version:?}");

        server.echo.release();
        let response = stream.await.unwrap();
        assert_eq!(take(&mut BytesMut::from(&response.body()[1..])).unwrap(), (2, Bytes::from_static(b"{}")));
    }
}

#[tokio::test]
async fn a_cancelled_call_no_longer_counts() {
    let server = TestServer::start(&Settings { max_calls: 1, ..settings() }).await;

    for version in VERSIONS {
        let (client, other) = (client(server.address(), version), client(server.address(), version));
        let running = tokio::spawn(async move { call(&client, "Wait", &[]).await });
        server.echo.has_begun().await;

        running.abort();

        eventually(async || call(&other, "Echo", &[]).await.status() == 200).await;
    }
}

#[tokio::test]
async fn a_request_over_the_size_limit_is_refused_by_its_length() {
    let server = TestServer::start(&settings()).await;

    for version in VERSIONS {
        let client = client(server.address(), version);
        let large = request("Echo", &[], vec![7; (4 << 20) + 1]);

        // HTTP/1.1 may end the connection, because the rest of the body is not read.
        let response = with_timeout(client.request(large)).await;

        let (http, code, reason, message) = error(&response);
        assert_eq!((http, code, &*reason), (429, Code::ResourceExhausted, "REQUEST_TOO_LARGE"), "{version:?}");
        assert!(message.contains("4194304"), "{message}");
        assert_eq!(call(&client, "Echo", &[]).await.status(), 200);
    }
}

#[tokio::test]
async fn a_stop_waits_for_calls_of_both_http_versions() {
    for version in VERSIONS {
        let server = TestServer::start(&settings()).await;
        let client = client(server.address(), version);
        let running = tokio::spawn(async move { call(&client, "Wait", &[]).await });
        server.echo.has_begun().await;

        server.stop();
        server.echo.release();

        assert_eq!(with_timeout(running).await.unwrap().status(), 200, "{version:?}");
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), server.report()).await.unwrap().cut_connections, 0);
    }
}
