//! The pages for operators: metrics, liveness and readiness by plain HTTP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloakroom::grpc::wire::watch_session_request::Credential;
use cloakroom::grpc::wire::{OpenSessionRequest, WatchSessionRequest, open_session_request};
use cloakroom::server;
use cloakroom::store::{Handle, Redis, RedisSettings};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use crate::server::raw_http1::RawHttp1;
use crate::support::calls::{open_cookie, save_unmodified};
use crate::support::connect::{Codec, ConnectTransport, HttpVersion, Protocol, Target};
use crate::support::redis::RedisServer;
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

const OPEN: &str = "cloakroom.v1.SessionService/OpenSession";

/// Sends bytes and returns the answer until the server closes.
async fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(socket_address(address)).await.unwrap();
    // The server may close before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the server keeps the connection open");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Gets a page of the admin listener.
pub(super) async fn page(service: &TestService, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    exchange(&service.admin_address, request.as_bytes()).await
}

/// Gets the value of a metric; `None` if the page does not have it.
pub(crate) async fn metric(service: &TestService, name: &str) -> Option<f64> {
    let page = page(service, "/metrics").await;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Waits until a metric has this value.
pub(crate) async fn await_metric(service: &TestService, name: &str, value: f64) {
    let begin = Instant::now();
    loop {
        let now = metric(service, name).await;
        if now == Some(value) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{name} is {now:?}");
        tokio::task::yield_now().await;
    }
}

fn socket_address(address: &str) -> SocketAddr {
    address.strip_prefix("http://").unwrap().parse().unwrap()
}

#[tokio::test]
async fn pages_are_served_by_http_1() {
    let service = TestService::new(StoreKind::Memory).await;
    await_metric(&service, "cloakroom_serving", 1.0).await;

    let metrics = page(&service, "/metrics").await;

    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    for (path, status) in [("/healthz", "200 OK"), ("/readyz", "200 OK"), ("/", "404 Not Found")] {
        let answer = page(&service, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_comes_with_a_request_for_a_page_keeps_its_connection() {
    let service = TestService::new(StoreKind::Memory).await;
    let mut raw = RawHttp1::connect(socket_address(&service.admin_address)).await;

    for (line, status) in [("GET /healthz", 200), ("GET /", 404), ("PUT /metrics", 405), ("OPTIONS *", 405)] {
        raw.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50000\r\n\r\n")).await;
        page(&service, "/healthz").await;
        raw.send("x".repeat(50_000)).await;
        let answer = raw.answer().await;

        assert_eq!((answer.status, answer.is_last()), (status, false), "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn pages_are_served_by_http_2() {
    let service = TestService::new(StoreKind::Memory).await;
    let socket = TcpStream::connect(socket_address(&service.admin_address)).await.unwrap();
    let (mut streams, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);

    let request = Request::get("http://localhost/healthz").body(()).unwrap();
    let (response, _) = streams.send_request(request, true).unwrap();

    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn head_is_answered_as_get_without_a_body() {
    let service = TestService::new(StoreKind::Memory).await;
    await_metric(&service, "cloakroom_serving", 1.0).await;
    let address = socket_address(&service.admin_address);

    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let client = ConnectTransport::new(Target::Tcp(address), Codec::Json, version);
        for (path, status, length) in
            [("/healthz", 200, "6"), ("/readyz", 200, "8"), ("/readablez", 200, "9"), ("/", 404, "63")]
        {
            let head = Request::head(format!("http://localhost{path}")).body(Bytes::new()).unwrap();

            let response = client.request(head).await;

            assert_eq!((response.status().as_u16(), response.body().len()), (status, 0), "{path} {version:?}");
            assert_eq!(response.headers()["content-length"], length);
        }
    }
}

#[tokio::test]
async fn the_frontend_listener_has_no_pages() {
    let service = TestService::new(StoreKind::Memory).await;

    let page =
        exchange(&service.address, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;

    assert!(page.starts_with("HTTP/1.1 405 Method Not Allowed\r\n") && !page.contains("cloakroom_"), "{page}");
}

#[tokio::test]
async fn without_the_connect_protocol_the_frontend_listener_does_not_speak_http_1() {
    let protocols = server::Protocols { grpc: true, connect: false };
    let service = TestService::with_server(StoreKind::Memory, server::Settings { protocols, ..long_timeouts() }).await;

    let page = exchange(&service.address, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;

    assert!(!page.contains("HTTP/1.1") && !page.contains("cloakroom_"), "{page}");
}

#[tokio::test]
async fn a_grpc_call_by_http_1_is_refused() {
    let service = TestService::new(StoreKind::Memory).await;
    let call = "POST /cloakroom.v1.AdminService/RevokeApp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc\r\n\
                content-length: 5\r\nconnection: close\r\n\r\n\0\0\0\0\0";

    let answer = exchange(&service.admin_address, call.as_bytes()).await;

    assert!(answer.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{answer}");
    assert!(answer.contains("\r\ncloakroom-reason: HTTP_VERSION_UNSUPPORTED\r\n"), "{answer}");
}

#[tokio::test]
async fn a_request_head_that_is_too_large_or_too_slow_ends_its_connection() {
    let settings = server::Settings {
        first_request_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        ..Default::default()
    };
    let service = TestService::with_server(StoreKind::Memory, settings).await;
    let large = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(100));

    for (head, answered) in [
        // The answer may be lost: the server closes before it has read everything.
        (large.as_str(), ""),
        (&many, "HTTP/1.1 431 "),
        ("GET /healthz HT", ""),
        ("", ""),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\n", ""),
        // Kept alive, but never used again.
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", "HTTP/1.1 200 OK"),
    ] {
        let answer = exchange(&service.admin_address, head.as_bytes()).await;

        assert!(answer.starts_with(answered), "{head:.40}: {answer}");
        assert_eq!(answer.contains(" 200 "), answered.contains(" 200 "), "{head:.40}: {answer}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_rpc_and_code_and_reason() {
    let service = TestService::new(StoreKind::Memory).await;
    let token = service.stored(&[("a", "1")]).await;

    service.open_cookie(&token).await;
    let refused = service.try_save(save_unmodified("forged")).await.err().unwrap();

    assert_eq!(refused.code(), Code::InvalidArgument);
    let metrics = page(&service, "/metrics").await;
    for line in [
        format!("cloakroom_calls_total{{rpc=\"{OPEN}\",protocol=\"grpc\",code=\"OK\"}} 2"),
        "cloakroom_calls_total{rpc=\"cloakroom.v1.SessionService/SaveSession\",protocol=\"grpc\",code=\"INVALID_ARGUMENT\"} 1".to_owned(),
        "cloakroom_call_failures_total{reason=\"TOKEN_INVALID\"} 1".to_owned(),
        format!("cloakroom_call_duration_seconds_count{{rpc=\"{OPEN}\"}} 2"),
        "cloakroom_tokens_rejected_total{app=\"default\",reason=\"MALFORMED\"} 1".to_owned(),
        "cloakroom_sessions_opened_total{app=\"default\"} 1".to_owned(),
        "cloakroom_sessions_created_total{app=\"default\"} 1".to_owned(),
        "cloakroom_store_operation_duration_seconds_count{operation=\"create\"} 1".to_owned(),
        "cloakroom_connections{listener=\"frontends\"} 1".to_owned(),
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "no {line} in {metrics}");
    }
}

#[tokio::test]
async fn calls_of_both_protocols_are_counted_side_by_side() {
    let mut service = TestService::new(StoreKind::Memory).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        service.open_new().await;
        service.try_save(save_unmodified("forged")).await.err().unwrap();
    }

    let calls = async |rpc: &str, protocol: &str, code: &str| {
        let rpc = format!("cloakroom.v1.SessionService/{rpc}");
        let name = format!("cloakroom_calls_total{{rpc=\"{rpc}\",protocol=\"{protocol}\",code=\"{code}\"}}");
        metric(&service, &name).await
    };
    for (protocol, count) in [("grpc", 1.0), ("connect", 4.0)] {
        assert_eq!(calls("OpenSession", protocol, "OK").await, Some(count), "{protocol}");
        assert_eq!(calls("SaveSession", protocol, "INVALID_ARGUMENT").await, Some(count), "{protocol}");
    }
    let failures = "cloakroom_call_failures_total{reason=\"TOKEN_INVALID\"}";
    assert_eq!(metric(&service, failures).await, Some(5.0));
}

#[tokio::test]
async fn two_live_sessions_in_one_header_are_counted_as_suspicious_cookies() {
    let service = TestService::new(StoreKind::Memory).await;
    let tokens = [service.stored(&[("a", "1")]).await, service.stored(&[("b", "2")]).await];

    service.open(open_cookie(&format!("session={}; session={}", tokens[0], tokens[1]))).await;

    assert_eq!(metric(&service, "cloakroom_cookies_suspicious_total{app=\"default\"}").await, Some(1.0));
}

#[tokio::test]
async fn a_ticket_is_not_counted_as_a_rejected_token() {
    let service = TestService::new(StoreKind::Memory).await;
    let ticket = service.open_new().await.token;

    service.open(open_cookie("unrelated=cookie")).await;
    let credential = open_session_request::Credential::Token(ticket);
    service.open(OpenSessionRequest { credential: Some(credential), ..Default::default() }).await;

    assert_eq!(
        metric(&service, "cloakroom_tokens_rejected_total{app=\"default\",reason=\"MALFORMED\"}").await,
        Some(0.0)
    );
}

#[tokio::test]
async fn an_unknown_path_adds_no_label() {
    let service = TestService::new(StoreKind::Memory).await;
    let socket = TcpStream::connect(socket_address(&service.address)).await.unwrap();
    let (mut streams, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);

    for number in 0..20 {
        let path = format!("http://localhost/chosen.Service{number}/Method");
        let request = Request::post(path).header("content-type", "application/grpc").body(()).unwrap();
        streams.send_request(request, true).unwrap().0.await.unwrap();
    }

    let metrics = page(&service, "/metrics").await;
    assert!(
        metrics.contains("\ncloakroom_calls_total{rpc=\"unknown\",protocol=\"grpc\",code=\"UNIMPLEMENTED\"} 20\n"),
        "{metrics}"
    );
    assert!(!metrics.contains("chosen"), "{metrics}");
}

#[tokio::test]
async fn a_watch_is_counted_as_a_stream_until_its_client_disconnects() {
    let mut service = TestService::new(StoreKind::Memory).await;
    let token = service.stored(&[("a", "1")]).await;
    let request = WatchSessionRequest { credential: Some(Credential::Token(token)), ..Default::default() };

    for (number, protocol) in Protocol::ALL.into_iter().enumerate() {
        service.use_protocol(protocol).await;
        let watch = service.client.clone().watch_session(request.clone()).await.unwrap();
        await_metric(&service, "cloakroom_streams{listener=\"frontends\"}", 1.0).await;
        drop(watch);

        await_metric(&service, "cloakroom_streams{listener=\"frontends\"}", 0.0).await;
        let (rpc, count) = ("cloakroom.v1.SessionService/WatchSession", u32::try_from(number.max(1)).unwrap());
        let name = if protocol == Protocol::Grpc { "grpc" } else { "connect" };
        let cancelled = format!("cloakroom_calls_total{{rpc=\"{rpc}\",protocol=\"{name}\",code=\"CANCELLED\"}}");
        await_metric(&service, &cancelled, count.into()).await;
    }
}

#[tokio::test]
async fn a_failed_call_answers_its_request_id() {
    let mut service = TestService::new(StoreKind::Memory).await;
    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        check_request_ids(&service).await;
    }
}

async fn check_request_ids(service: &TestService) {
    let failed = async |id: Option<&str>| {
        let mut request = tonic::Request::new(save_unmodified("forged"));
        if let Some(id) = id {
            request.metadata_mut().insert("x-request-id", id.parse().unwrap());
        }
        let status = service.client.clone().save_session(request).await.err().unwrap();
        status.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };

    assert_eq!(failed(Some("given-7")).await, "given-7");
    assert_ne!(failed(Some("not in a log")).await, "not in a log");
    assert_ne!(failed(None).await, failed(None).await);
}

#[tokio::test]
async fn pages_are_served_in_an_outage_and_report_it() {
    let mut redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(1), ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let server = server::Settings { store_unhealthy_after: Duration::from_millis(500), ..long_timeouts() };
    let service = TestService::on_store(store, [("default", app_settings())], server).await;
    let token = service.stored(&[("a", "1")]).await;
    await_metric(&service, "cloakroom_store_up", 1.0).await;

    redis.signal("-STOP");
    await_metric(&service, "cloakroom_serving", 0.0).await;
    let refused = service.try_open(open_cookie(&format!("session={token}"))).await;
    let (alive, ready) = (page(&service, "/healthz").await, page(&service, "/readyz").await);
    let failures = metric(&service, "cloakroom_store_failures_total{operation=\"load\",failure=\"UNAVAILABLE\"}").await;

    assert_eq!(refused.err().map(|status| status.code()), Some(Code::Unavailable));
    assert!(alive.starts_with("HTTP/1.1 200 ") && ready.starts_with("HTTP/1.1 503 "), "{alive} {ready}");
    assert_eq!(failures, Some(1.0));
    assert_eq!(metric(&service, "cloakroom_store_up").await, Some(0.0));
    redis.signal("-CONT");
    await_metric(&service, "cloakroom_store_up", 1.0).await;
    redis.stop();
}
