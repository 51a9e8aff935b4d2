//! Requests that are no calls: each is refused by its headers, and the connection goes on.

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::connect::{Codec, ConnectTransport, HttpVersion, Target, envelope, status};
use crate::support::{StoreKind, TestService};

const OPEN: &str = "/cloakroom.v1.SessionService/OpenSession";
const WATCH: &str = "/cloakroom.v1.SessionService/WatchSession";
const STATS: &str = "/cloakroom.v1.AdminService/GetStats";

/// A request, and how it is refused: by HTTP status, code and reason.
struct Row {
    method: Method,
    path: &'static str,
    /// Headers besides `content-type: application/json`; an empty value removes one.
    headers: &'static [(&'static str, &'static str)],
    refusal: (u16, Code, &'static str),
}

const fn row(headers: &'static [(&'static str, &'static str)], refusal: (u16, Code, &'static str)) -> Row {
    Row { method: Method::POST, path: OPEN, headers, refusal }
}

const NO_CALL: (u16, Code, &str) = (415, Code::InvalidArgument, "CONTENT_TYPE_UNSUPPORTED");
const NO_POST: (u16, Code, &str) = (405, Code::InvalidArgument, "HTTP_METHOD_UNSUPPORTED");
const BROWSER: (u16, Code, &str) = (403, Code::PermissionDenied, "BROWSER_REFUSED");
const HOST: (u16, Code, &str) = (421, Code::PermissionDenied, "HOST_REFUSED");

fn rows() -> Vec<Row> {
    vec![
        Row { method: Method::GET, ..row(&[], NO_POST) },
        Row { method: Method::HEAD, ..row(&[], NO_POST) },
        Row { method: Method::HEAD, ..row(&[("origin", "null")], BROWSER) },
        Row { method: Method::OPTIONS, ..row(&[], NO_POST) },
        Row { method: Method::PUT, ..row(&[], NO_POST) },
        Row { method: Method::DELETE, ..row(&[("content-type", "")], NO_POST) },
        row(&[("content-type", "")], NO_CALL),
        row(&[("content-type", "text/plain")], NO_CALL),
        row(&[("content-type", "text/plain; application/json")], NO_CALL),
        row(&[("content-type", "application/x-www-form-urlencoded")], NO_CALL),
        row(&[("content-type", "multipart/form-data; boundary=x")], NO_CALL),
        row(&[("content-type", "application/grpc-web")], NO_CALL),
        row(&[("content-type", "application/connect+json")], NO_CALL),
        Row { path: WATCH, ..row(&[], NO_CALL) },
        row(&[("connect-protocol-version", "2")], (400, Code::InvalidArgument, "CONNECT_VERSION_UNSUPPORTED")),
        row(&[("connect-timeout-ms", "-1")], (400, Code::InvalidArgument, "CONNECT_TIMEOUT_INVALID")),
        row(&[("content-encoding", "gzip")], (501, Code::Unimplemented, "COMPRESSION_UNSUPPORTED")),
        row(&[("origin", "http://127.0.0.1")], BROWSER),
        row(&[("origin", "null")], BROWSER),
        row(&[("sec-fetch-site", "same-origin")], BROWSER),
        Row { method: Method::GET, ..row(&[("sec-fetch-site", "cross-site")], BROWSER) },
        row(&[("host", "cloakroom.example")], HOST),
    ]
}

fn request(row: &Row, version: HttpVersion) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(b"{}"));
    *request.method_mut() = row.method.clone();
    let mut host = "localhost";
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    for (name, value) in row.headers {
        match (*name, *value) {
            ("host", value) => host = value,
            (name, "") => _ = request.headers_mut().remove(name),
            (name, value) => _ = request.headers_mut().insert(name, value.parse().unwrap()),
        }
    }
    if [Method::GET, Method::HEAD].contains(&row.method) && version == HttpVersion::Http2 {
        *request.body_mut() = Bytes::new();
    }
    *request.uri_mut() = format!("http://{host}{}", row.path).parse().unwrap();
    request
}

/// Returns HTTP status, code and reason of an error, whose JSON and headers agree.
fn refusal(response: &Response<Bytes>) -> (u16, Code, String) {
    let status = status(&serde_json::from_slice(response.body()).unwrap());
    let reason = status.get_details_error_info().unwrap().reason;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cloakroom-reason"], reason.as_str());
    assert!(response.headers().contains_key("x-request-id"), "{response:?}");
    (response.status().as_u16(), status.code(), reason)
}

fn client(address: &str, version: HttpVersion) -> ConnectTransport {
    let address = address.strip_prefix("http://").unwrap().parse().unwrap();
    ConnectTransport::new(Target::Tcp(address), Codec::Json, version)
}

#[tokio::test]
async fn a_request_that_is_no_call_is_refused_and_its_connection_goes_on() {
    let service = TestService::new(StoreKind::Memory).await;
    let mut connection = Connection::to(&service.address).await;

    for row in rows() {
        let response = connection.request(request(&row, HttpVersion::Http1)).await;

        check(&response, &row);
        let opened = connection.request(request(&row_of_call(), HttpVersion::Http1)).await;
        assert_eq!(opened.status(), 200, "after {:?}", row.headers);
    }
}

#[tokio::test]
async fn a_request_that_is_no_call_is_refused_by_http_2() {
    let service = TestService::new(StoreKind::Memory).await;
    let client = client(&service.address, HttpVersion::Http2);

    for row in rows() {
        let response = client.request(request(&row, HttpVersion::Http2)).await;
        match row.refusal {
            // Browsers speak HTTP/2 by TLS only, so here a name is the name of a caller's own.
            HOST => assert_eq!(response.status(), 200),
            _ => check(&response, &row),
        }
    }
}

fn check(response: &Response<Bytes>, row: &Row) {
    let (http_status, code, reason) = row.refusal;
    if row.method == Method::HEAD {
        assert_eq!((response.status().as_u16(), response.body().len()), (http_status, 0), "{:?}", row.headers);
        assert_eq!(response.headers()["cloakroom-reason"], reason);
        assert_ne!(response.headers()["content-length"], "0");
    } else {
        assert_eq!(refusal(response), (http_status, code, reason.to_owned()), "{} {:?}", row.method, row.headers);
    }
    assert_eq!(response.headers().get("allow").is_some(), http_status == 405);
}

/// One connection by HTTP/1.1, which is not opened again.
struct Connection(http1::SendRequest<Full<Bytes>>);

impl Connection {
    async fn to(address: &str) -> Self {
        let socket = TcpStream::connect(address.strip_prefix("http://").unwrap()).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn request(&mut self, request: Request<Bytes>) -> Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        // A client sends the path alone.
        parts.headers.insert(header::HOST, parts.uri.authority().unwrap().as_str().parse().unwrap());
        parts.uri = parts.uri.path().parse().unwrap();
        self.0.ready().await.expect("the connection goes on");
        let response = self.0.send_request(Request::from_parts(parts, Full::new(body))).await.unwrap();
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }
}

fn row_of_call() -> Row {
    row(&[], (200, Code::Ok, ""))
}

#[tokio::test]
async fn the_listener_for_operators_refuses_the_same() {
    let service = TestService::new(StoreKind::Memory).await;
    let client = client(&service.admin_address, HttpVersion::Http1);

    for row in rows() {
        // What is not a POST is for the pages.
        if row.method != Method::POST && (row.refusal != BROWSER || row.method == Method::HEAD) {
            continue;
        }
        let path = if row.path == OPEN { STATS } else { "/cloakroom.v1.AdminService/WatchEvents" };
        let response = client.request(request(&Row { path, ..row }, HttpVersion::Http1)).await;

        let (http_status, code, reason) = row.refusal;
        assert_eq!(refusal(&response), (http_status, code, reason.to_owned()), "{:?}", row.headers);
    }
    let page = Request::get("http://localhost/metrics").header("origin", "null").body(Bytes::new()).unwrap();
    assert_eq!(refusal(&client.request(page).await).2, "BROWSER_REFUSED");
}

#[tokio::test]
async fn grpc_needs_http_2() {
    let service = TestService::new(StoreKind::Memory).await;
    let client = client(&service.address, HttpVersion::Http1);
    let grpc = row(&[("content-type", "application/grpc")], NO_CALL);

    let response = client.request(request(&grpc, HttpVersion::Http1)).await;

    assert_eq!(refusal(&response), (505, Code::InvalidArgument, "HTTP_VERSION_UNSUPPORTED".to_owned()));
}

#[tokio::test]
async fn a_grpc_call_with_a_sign_of_a_page_is_refused_by_a_status() {
    let service = TestService::new(StoreKind::Memory).await;
    let client = client(&service.address, HttpVersion::Http2);

    let origin = row(&[("content-type", "application/grpc"), ("origin", "null")], BROWSER);
    let mut call = request(&origin, HttpVersion::Http2);
    *call.body_mut() = envelope(b"");
    let response = client.request(call).await;

    assert_eq!(response.status(), 200);
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(status.get_details_error_info().unwrap().reason, "BROWSER_REFUSED");
}

/// Returns the message of a refusal.
async fn words(service: &TestService, path: &str, content_type: &str) -> String {
    let client = client(&service.address, HttpVersion::Http1);
    let call = Request::post(format!("http://localhost{path}")).header("content-type", content_type);
    let response = client.request(call.body(Bytes::from_static(b"{}")).unwrap()).await;
    status(&serde_json::from_slice(response.body()).unwrap()).message().to_owned()
}

#[tokio::test]
async fn a_refusal_says_which_content_type_its_rpc_needs() {
    let service = TestService::new(StoreKind::Memory).await;

    for (path, content_type, advice) in [
        (WATCH, "application/json", "is a stream; send content-type: application/connect+json or"),
        (WATCH, "application/proto", "is a stream; send content-type: application/connect+json or"),
        (OPEN, "text/plain", "send content-type: application/json or application/proto (streams: application/connect"),
        (OPEN, "application/connect+json", "is no stream; send content-type: application/json or application/proto"),
    ] {
        let words = words(&service, path, content_type).await;
        assert!(words.contains(advice), "{path} {content_type}: {words}");
    }
}

#[tokio::test]
async fn a_refusal_says_which_address_a_service_has() {
    let service = TestService::new(StoreKind::Memory).await;

    let elsewhere = words(&service, STATS, "application/json").await;
    let unknown = words(&service, "/other.v1.Service/Call", "application/json").await;

    assert!(elsewhere.contains("AdminService has the address of `listen` in [admin]"), "{elsewhere}");
    assert!(unknown.contains("this address does not serve that service"), "{unknown}");
}
