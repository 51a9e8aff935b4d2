//! The check requests of Envoy by gRPC: whether a request's cookie opens a session with a subject.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cloakroom::grpc::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use cloakroom::grpc::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use cloakroom::grpc::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Asked};
use cloakroom::grpc::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use cloakroom::grpc::envoy::service::auth::v3::check_response::HttpResponse;
use cloakroom::grpc::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse, OkHttpResponse};
use cloakroom::grpc::wire::Changes;
use cloakroom::server::{Protocols, Settings};
use cloakroom::store::{Handle, Redis, RedisSettings};
use http::{Request, Response};
use prost::Message as _;
use tonic::Code;

use super::forward_auth::service_without_subjects;
use crate::support::calls::ChangesExt as _;
use crate::support::connect::{self, Codec, ConnectTransport, HttpVersion, Protocol, Target, Transport};
use crate::support::redis::RedisServer;
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";
const SIX_DAYS: Duration = Duration::from_secs(6 * 86_400);

/// A check request for a request with these headers.
fn check_request(headers: &[(&str, &str)]) -> CheckRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    about(HttpRequest { headers: headers.collect(), ..Default::default() }, "")
}

/// A check request for a request of an app.
fn about(http: HttpRequest, app: &str) -> CheckRequest {
    let context = [("app", app)].into_iter().filter(|(_, app)| !app.is_empty());
    let attributes = AttributeContext {
        request: Some(Asked { http: Some(http) }),
        context_extensions: context.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    CheckRequest { attributes: Some(attributes) }
}

async fn ask(service: &TestService, check_request: CheckRequest) -> CheckResponse {
    let transport = Transport::connect(&service.address, Protocol::Grpc).await;
    AuthorizationClient::new(transport).check(check_request).await.unwrap().into_inner()
}

async fn ask_cookie(service: &TestService, cookie: &str) -> CheckResponse {
    ask(service, check_request(&[("cookie", cookie)])).await
}

/// Starts a service on a Redis of its own, whose store waits for long.
async fn on_redis(settings: Settings) -> (RedisServer, TestService) {
    let redis = RedisServer::start();
    let store_settings = RedisSettings { url: redis.url(), timeout: Duration::from_secs(20), ..Default::default() };
    let store = Handle::from(Redis::new(&store_settings).unwrap());
    let service = TestService::on_store(store, [("default", app_settings())], settings).await;
    (redis, service)
}

/// Sends a gRPC call of a check request's path as it is.
async fn send(service: &TestService, headers: &[(&str, &str)], body: Bytes) -> Response<Bytes> {
    let mut call = Request::post(format!("http://localhost{PATH}")).header("te", "trailers");
    for (name, value) in headers {
        call = call.header(*name, *value);
    }
    let address = service.address.strip_prefix("http://").unwrap().parse().unwrap();
    let transport = ConnectTransport::new(Target::Tcp(address), Codec::Proto, HttpVersion::Http2);
    transport.request(call.body(body).unwrap()).await
}

/// Sends a call with these headers, and returns its answer.
async fn ask_with(service: &TestService, headers: &[(&str, &str)], body: Bytes) -> CheckResponse {
    let response = send(service, &[&[("content-type", "application/grpc")], headers].concat(), body).await;
    let mut body = BytesMut::from(&**response.body());
    let (flag, message) = connect::take(&mut body).unwrap();
    assert_eq!((response.status().as_u16(), flag, body.len()), (200, 0, 0));
    CheckResponse::decode(message).unwrap()
}

/// The status that the browser gets, and what the answer says of the user: the subject, or why there is none.
fn answer(response: &CheckResponse) -> (i32, &str) {
    let code = response.status.as_ref().unwrap().code;
    match response.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(passed) => {
            assert_eq!(code, 0);
            (200, value(&passed.headers, "cloakroom-subject").unwrap())
        }
        HttpResponse::DeniedResponse(denied) => {
            assert_ne!(code, 0);
            (denied.status.as_ref().unwrap().code, value(&denied.headers, "cloakroom-reason").unwrap())
        }
    }
}

fn passed(response: &CheckResponse) -> &OkHttpResponse {
    match response.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(passed) => passed,
        HttpResponse::DeniedResponse(_) => panic!("{:?}", answer(response)),
    }
}

fn named<'a>(headers: &'a [HeaderValueOption], name: &str) -> Vec<&'a HeaderValueOption> {
    headers.iter().filter(|option| option.header.as_ref().unwrap().key == name).collect()
}

fn value<'a>(headers: &'a [HeaderValueOption], name: &str) -> Option<&'a str> {
    let named = named(headers, name);
    assert!(named.len() <= 1, "{name}");
    named.first().map(|option| &*option.header.as_ref().unwrap().value)
}

/// Whether a header replaces one that is there already, by both fields that say so.
fn replaces(option: &HeaderValueOption) -> bool {
    let replaces = option.append_action() == HeaderAppendAction::OverwriteIfExistsOrAdd;
    assert_eq!(option.append, Some(!replaces));
    replaces
}

#[tokio::test]
async fn only_a_live_session_with_a_subject_lets_a_request_pass() {
    let service = TestService::new(StoreKind::Memory).await;
    let anonymous = service.stored(&[("a", "1")]).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "Zoë\n%").await;

    let alive = ask_cookie(&service, &format!("theme=dark; session={anna}")).await;
    assert_eq!(answer(&alive), (200, "Zo%C3%AB%0A%25"));

    assert_eq!(answer(&ask_cookie(&service, &format!("session={anonymous}")).await), (401, "NO_SUBJECT"));
    assert_eq!(answer(&ask_cookie(&service, "session=forged").await), (401, "NO_SESSION"));
    assert_eq!(answer(&ask(&service, check_request(&[])).await), (401, "NO_SESSION"));
    assert_eq!(answer(&ask(&service, CheckRequest::default()).await), (401, "NO_SESSION"));
    let both = format!("session={anonymous}; session={anna}");
    assert_eq!(answer(&ask_cookie(&service, &both).await), (401, "COOKIES_AMBIGUOUS"));
    service.destroy(&anna).await;
    assert_eq!(answer(&ask_cookie(&service, &format!("session={anna}")).await), (401, "NO_SESSION"));
}

#[tokio::test]
async fn what_a_client_says_of_the_user_is_replaced_in_each_spelling() {
    let service = TestService::new(StoreKind::Memory).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let cookie = format!("session={anna}");
    let spoofed = [("cookie", &*cookie), ("cloakroom-subject", "admin"), ("cloakroom_subject", "admin")];

    let response = ask(&service, check_request(&spoofed)).await;

    let passed = passed(&response);
    assert_eq!(value(&passed.headers, "cloakroom-subject"), Some("anna"));
    assert_eq!(value(&passed.headers, "cloakroom-session-id"), Some(&*service.session(&anna).await.id));
    assert!(passed.headers.len() == 2 && passed.headers.iter().all(replaces));
    for spelling in ["cloakroom_subject", "cloakroom_session_id", "cloakroom_session-id", "cloakroom-session_id"] {
        assert!(passed.headers_to_remove.iter().any(|removed| removed == spelling), "{spelling}");
    }
}

#[tokio::test]
async fn a_question_uses_the_session_and_renews_its_cookie() {
    let service = TestService::new(StoreKind::Memory).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let response = ask_cookie(&service, &format!("session={anna}")).await;
    // The application says whether its page may be cached.
    let to_browser = &passed(&response).response_headers_to_add;
    assert_eq!((to_browser.len(), value(to_browser, "vary")), (1, Some("Cookie")));
    assert!(!replaces(&to_browser[0]));
    let permanent = service.update(&anna, Changes::default().permanent(true)).await.token;

    for _ in 0..5 {
        service.advance(SIX_DAYS);
        let response = ask_cookie(&service, &format!("session={permanent}")).await;

        assert_eq!(answer(&response), (200, "anna"));
        let to_browser = &passed(&response).response_headers_to_add;
        assert!(value(to_browser, "set-cookie").unwrap().contains("Expires="));
        assert_eq!(value(to_browser, "cache-control"), Some("no-store"));
        // The application's own cookies stay, and its own Cache-Control does not.
        let replaced = to_browser.iter().filter(|option| replaces(option));
        let replaced: Vec<_> = replaced.map(|option| &*option.header.as_ref().unwrap().key).collect();
        assert_eq!(replaced, ["cache-control"]);
    }
}

#[tokio::test]
async fn nobody_may_keep_a_denied_response_in_a_cache() {
    let service = TestService::new(StoreKind::Memory).await;

    let response = ask(&service, check_request(&[])).await;

    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("it has passed") };
    assert_eq!(value(&denied.headers, "cache-control"), Some("no-store"));
    assert_eq!(value(&denied.headers, "vary"), Some("Cookie"));
    assert!(denied.headers.len() == 3 && denied.headers.iter().all(replaces));
}

#[tokio::test]
async fn the_context_names_the_app() {
    let apps = [("default", app_settings()), ("shop", app_settings())];
    let service = TestService::with_apps(StoreKind::Memory, apps).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let headers = HashMap::from([("cookie".to_owned(), format!("session={anna}"))]);
    let asked = async |app: &str| {
        ask(&service, about(HttpRequest { headers: headers.clone(), ..Default::default() }, app)).await
    };

    assert_eq!(answer(&asked("").await), (200, "anna"));
    assert_eq!(answer(&asked("default").await), (200, "anna"));
    // Its keys are others.
    assert_eq!(answer(&asked("shop").await), (401, "NO_SESSION"));
    assert_eq!(answer(&asked("unknown").await), (404, "APP_UNKNOWN"));
}

#[tokio::test]
async fn raw_headers_are_read_line_by_line() {
    let service = TestService::new(StoreKind::Memory).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let line =
        |name: &str, raw: &[u8]| HeaderValue { key: name.to_owned(), raw_value: raw.to_vec(), ..Default::default() };
    let cookie = format!("session={anna}");
    let headers = vec![line("cookie", b"a=\xff"), line("x-cookie", b"session=b"), line("cookie", cookie.as_bytes())];

    let raw = HttpRequest { header_map: Some(HeaderMap { headers }), ..Default::default() };

    assert_eq!(answer(&ask(&service, about(raw, "")).await), (200, "anna"));
}

#[tokio::test]
async fn cookies_of_two_users_or_joined_by_a_comma_open_no_session() {
    let service = TestService::new(StoreKind::Memory).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let bob = service.log_in(&service.stored(&[("a", "1")]).await, "bob").await;
    let raw = |cookie: &str| HeaderMap {
        headers: vec![HeaderValue { key: "Cookie".to_owned(), raw_value: cookie.into(), ..Default::default() }],
    };
    let both = |raw_cookie: &str, cookie: &str| {
        let headers = HashMap::from([("cookie".to_owned(), cookie.to_owned())]);
        about(HttpRequest { headers, header_map: Some(raw(raw_cookie)) }, "")
    };
    let (of_anna, of_bob) = (format!("session={anna}"), format!("session={bob}"));

    assert_eq!(answer(&ask(&service, both(&of_anna, &of_anna)).await), (200, "anna"));
    assert_eq!(answer(&ask(&service, both(&of_anna, &of_bob)).await), (401, "COOKIES_AMBIGUOUS"));
    for joined in [format!("{of_anna},theme=dark"), format!("theme=dark,{of_anna}"), format!("{of_anna},{of_anna}")] {
        assert_eq!(answer(&ask_cookie(&service, &joined).await), (401, "NO_SESSION"), "{joined}");
    }
}

#[tokio::test]
async fn an_app_that_can_have_no_subject_is_a_fault_and_sends_nobody_to_log_in() {
    let service = service_without_subjects().await;

    for (app, reason) in [("signed", "NOT_IN_COOKIE_KIND"), ("keyless", "NO_KEY"), ("other", "CREDENTIAL_NOT_OF_KIND")]
    {
        let headers = HashMap::from([("cookie".to_owned(), "session=a".to_owned())]);
        let response = ask(&service, about(HttpRequest { headers, ..Default::default() }, app)).await;
        assert_eq!(answer(&response), (500, reason), "{app}");
    }
}

#[tokio::test]
async fn a_page_may_be_asked_about_and_may_not_ask() {
    let service = TestService::new(StoreKind::Memory).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let cookie = format!("session={anna}");
    let page = [("origin", "https://shop.example"), ("sec-fetch-site", "cross-site")];
    let of_page = check_request(&[&[("cookie", &*cookie)], &page[..]].concat());

    assert_eq!(answer(&ask(&service, of_page.clone()).await), (200, "anna"));
    for header in page {
        let response = ask_with(&service, &[header], connect::envelope(&of_page.encode_to_vec())).await;
        assert_eq!(answer(&response), (500, "BROWSER_REFUSED"), "{header:?}");
    }
}

#[tokio::test]
async fn a_broken_question_is_answered_and_says_what_to_change() {
    let service = TestService::new(StoreKind::Memory).await;
    let whole = connect::envelope(&check_request(&[]).encode_to_vec());
    let compressed = [&[1], &whole[1..]].concat();
    let broken = [
        ("none", Bytes::new()),
        ("cut", whole.slice(..whole.len() - 1)),
        ("two", [&whole[..], &whole[..]].concat().into()),
        ("no message", connect::envelope(b"\x0a\xff")),
        ("a flag", [&[7], &whole[1..]].concat().into()),
    ];

    for (what, body) in broken {
        let response = ask_with(&service, &[], body).await;
        assert_eq!(answer(&response), (500, "REQUEST_MALFORMED"), "{what}");
        assert!(!response.status.unwrap().message.is_empty(), "{what}");
    }
    assert_eq!(answer(&ask_with(&service, &[], compressed.into()).await), (501, "COMPRESSION_UNSUPPORTED"));
    let timeout = [("grpc-timeout", "soon")];
    assert_eq!(answer(&ask_with(&service, &timeout, whole.clone()).await), (500, "GRPC_TIMEOUT_INVALID"));
    let cookies = check_request(&[("cookie", &"a".repeat((1 << 20) + 1))]);
    assert_eq!(answer(&ask(&service, cookies).await), (500, "COOKIE_HEADER_TOO_LARGE"));
    let large = connect::envelope(&vec![0; 4 << 20]);
    assert_eq!(answer(&ask_with(&service, &[], large).await), (429, "REQUEST_TOO_LARGE"));
    // Envoy asks by gRPC only.
    let by_connect = send(&service, &[("content-type", "application/proto")], Bytes::new()).await;
    assert_eq!(by_connect.headers()["cloakroom-reason"], "SERVICE_UNKNOWN");
}

#[tokio::test]
async fn a_store_that_does_not_work_lets_nobody_pass_and_sends_nobody_to_log_in() {
    let (mut redis, service) = on_redis(long_timeouts()).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let cookie = format!("session={anna}");
    assert_eq!(answer(&ask_cookie(&service, &cookie).await), (200, "anna"));

    redis.stop();

    let response = ask_cookie(&service, &cookie).await;
    assert_eq!(answer(&response), (503, "STORE_UNAVAILABLE"));
    assert_eq!(response.status.unwrap().code, Code::Unavailable as i32);
}

#[tokio::test]
async fn a_question_over_a_limit_has_an_answer() {
    let (redis, service) = on_redis(Settings { max_calls: 1, ..long_timeouts() }).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let cookie = format!("session={anna}");

    redis.signal("-STOP");

    let body = connect::envelope(&check_request(&[("cookie", &cookie)]).encode_to_vec());
    let late = ask_with(&service, &[("grpc-timeout", "50m")], body).await;
    assert_eq!(answer(&late), (504, "DEADLINE_EXCEEDED"));
    // One of the check requests waits for the store, and the other is answered at once.
    let first = tokio::select! {
        one = ask_cookie(&service, &cookie) => one,
        other = ask_cookie(&service, &cookie) => other,
    };
    assert_eq!(answer(&first), (429, "OVERLOADED"));
    redis.signal("-CONT");
}

#[tokio::test]
async fn grpc_switches_the_questions_of_envoy_on_and_off() {
    let with =
        async |protocols| TestService::with_server(StoreKind::Memory, Settings { protocols, ..long_timeouts() }).await;
    let grpc = with(Protocols { grpc: true, connect: false }).await;
    let mut connect = with(Protocols { grpc: false, connect: true }).await;

    assert_eq!(answer(&ask(&grpc, check_request(&[])).await), (401, "NO_SESSION"));
    assert_eq!(answer(&ask(&connect, check_request(&[])).await), (501, "SERVICE_UNKNOWN"));
    // Operators have gRPC, but no sessions are opened there.
    connect.address.clone_from(&connect.admin_address);
    assert_eq!(answer(&ask(&connect, check_request(&[])).await), (501, "SERVICE_UNKNOWN"));
}

#[tokio::test]
async fn questions_are_calls_of_a_protocol_of_their_own_in_the_metrics() {
    let service = TestService::new(StoreKind::Memory).await;

    ask(&service, check_request(&[])).await;
    ask(&service, about(HttpRequest::default(), "unknown")).await;

    let address = service.admin_address.strip_prefix("http://").unwrap().parse().unwrap();
    let page = Request::get("http://localhost/metrics").body(Bytes::new()).unwrap();
    let metrics = ConnectTransport::new(Target::Tcp(address), Codec::Json, HttpVersion::Http1).request(page).await;
    let metrics = String::from_utf8_lossy(metrics.body());
    let rpc = "cloakroom.v1.SessionService/OpenSession";
    for code in ["OK", "NOT_FOUND"] {
        let line = format!("cloakroom_calls_total{{rpc=\"{rpc}\",protocol=\"ext_authz\",code=\"{code}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}");
    }
    assert!(metrics.contains("cloakroom_call_failures_total{reason=\"APP_UNKNOWN\"} 1\n"));
}

#[tokio::test]
async fn a_failed_question_has_the_id_of_its_call() {
    let service = TestService::new(StoreKind::Memory).await;
    let body = connect::envelope(&about(HttpRequest::default(), "unknown").encode_to_vec());

    let headers = [("content-type", "application/grpc"), ("x-request-id", "check-7")];
    let response = send(&service, &headers, body).await;

    assert_eq!(response.headers()["x-request-id"], "check-7");
}
