//! What reverse proxies ask: whether a request's cookie opens a session with a subject.

use std::time::Duration;

use bytes::Bytes;
use cloakroom::app;
use cloakroom::grpc::wire::Changes;
use cloakroom::server::{Protocols, Settings};
use http::{Method, Request, Response};

use crate::support::calls::ChangesExt as _;
use crate::support::connect::{Codec, ConnectTransport, HttpVersion, Target};
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

const VERSIONS: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];
const SIX_DAYS: Duration = Duration::from_secs(6 * 86_400);

/// Asks about a request with these headers.
async fn ask(service: &TestService, version: HttpVersion, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut request = Request::get(format!("http://localhost{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(service, version, request.body(Bytes::new()).unwrap()).await
}

async fn send(service: &TestService, version: HttpVersion, request: Request<Bytes>) -> Response<Bytes> {
    let address = service.address.strip_prefix("http://").unwrap().parse().unwrap();
    ConnectTransport::new(Target::Tcp(address), Codec::Json, version).request(request).await
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The status, and what it says of the user: the subject, or why there is none.
fn answer(response: &Response<Bytes>) -> (u16, Option<&str>) {
    let [subject, reason] = ["cloakroom-subject", "cloakroom-reason"].map(|name| header(response, name));
    assert!(subject.is_none() || reason.is_none(), "{response:?}");
    (response.status().as_u16(), subject.or(reason))
}

#[tokio::test]
async fn only_a_live_session_with_a_subject_lets_a_request_pass() {
    for version in VERSIONS {
        let service = TestService::new(StoreKind::Memory).await;
        let anonymous = service.stored(&[("a", "1")]).await;
        let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
        let id = service.session(&anna).await.id;
        let asked = async |cookie: &str| ask(&service, version, "/forward-auth", &[("cookie", cookie)]).await;

        let passed = asked(&format!("theme=dark; session={anna}")).await;
        assert_eq!((answer(&passed), header(&passed, "cloakroom-session-id")), ((200, Some("anna")), Some(&*id)));
        assert_eq!((header(&passed, "vary"), header(&passed, "cache-control")), (Some("Cookie"), Some("no-store")));
        assert_eq!((header(&passed, "set-cookie"), passed.body().len()), (None, 0));

        assert_eq!(answer(&asked(&format!("session={anonymous}")).await), (401, Some("NO_SUBJECT")));
        assert_eq!(answer(&asked("session=forged").await), (401, Some("NO_SESSION")));
        assert_eq!(answer(&ask(&service, version, "/forward-auth/", &[]).await), (401, Some("NO_SESSION")));
        let both = format!("session={anonymous}; session={anna}");
        assert_eq!(answer(&asked(&both).await), (401, Some("COOKIES_AMBIGUOUS")));
        service.destroy(&anna).await;
        assert_eq!(answer(&asked(&format!("session={anna}")).await), (401, Some("NO_SESSION")));
    }
}

#[tokio::test]
async fn a_question_uses_the_session_and_renews_its_cookie() {
    let service = TestService::new(StoreKind::Memory).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let permanent = service.update(&anna, Changes::default().permanent(true)).await.token;
    let cookie = format!("session={permanent}");

    for _ in 0..5 {
        service.advance(SIX_DAYS);
        let passed = ask(&service, HttpVersion::Http1, "/forward-auth", &[("cookie", &cookie)]).await;
        assert_eq!(answer(&passed), (200, Some("anna")));
        assert!(header(&passed, "set-cookie").unwrap().contains("Expires="), "{passed:?}");
    }
}

#[tokio::test]
async fn the_path_names_the_app_and_any_method_may_ask() {
    let apps = [("default", app_settings()), ("shop", app_settings())];
    let service = TestService::with_apps(StoreKind::Memory, apps).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::DELETE] {
        let request = Request::builder().method(&method).uri("http://localhost/forward-auth/default/orders?page=2");
        let request = request.header("cookie", format!("session={anna}")).header("content-type", "text/plain");
        let response = send(&service, HttpVersion::Http1, request.body(Bytes::from_static(b"ignored")).unwrap()).await;
        assert_eq!(answer(&response), (200, Some("anna")), "{method}");
    }
    let cookie = format!("session={anna}");
    let asked = async |path: &str| ask(&service, HttpVersion::Http1, path, &[("cookie", &cookie)]).await;

    // Its keys are others.
    assert_eq!(answer(&asked("/forward-auth/shop").await), (401, Some("NO_SESSION")));
    assert_eq!(answer(&asked("/forward-auth/unknown").await), (404, Some("APP_UNKNOWN")));
}

/// A service whose apps `signed`, `keyless` and `other` can have no session with a subject.
pub(super) async fn service_without_subjects() -> TestService {
    let signed = app::Settings { kind: app::KindSetting::Cookie, ..app_settings() };
    let keyless = app::Settings { keys: Vec::new(), ..app_settings() };
    let other = app::Settings { kind: app::KindSetting::External, ..keyless.clone() };
    let apps = [("signed", signed), ("keyless", keyless), ("other", other)];
    TestService::with_apps(StoreKind::Memory, apps).await
}

#[tokio::test]
async fn an_app_that_can_have_no_subject_is_a_fault_and_sends_nobody_to_log_in() {
    let service = service_without_subjects().await;

    for (app, reason) in [("signed", "NOT_IN_COOKIE_KIND"), ("keyless", "NO_KEY"), ("other", "CREDENTIAL_NOT_OF_KIND")]
    {
        let path = format!("/forward-auth/{app}");
        let response = ask(&service, HttpVersion::Http1, &path, &[("cookie", "session=a")]).await;
        assert_eq!(answer(&response), (500, Some(reason)), "{app}");
    }
}

#[tokio::test]
async fn a_question_without_an_answer_is_never_a_401_or_a_403() {
    let service = TestService::new(StoreKind::Memory).await;
    let asked = async |headers: &[(&str, &str)]| ask(&service, HttpVersion::Http1, "/forward-auth", headers).await;

    assert_eq!(answer(&asked(&[("origin", "https://shop.example")]).await), (500, Some("BROWSER_REFUSED")));
    assert_eq!(answer(&asked(&[("sec-fetch-site", "same-origin")]).await), (500, Some("BROWSER_REFUSED")));
    assert_eq!(answer(&asked(&[("host", "shop.example")]).await), (500, Some("HOST_REFUSED")));
}

#[tokio::test]
async fn where_browsers_hide_that_a_page_asks_nobody_may_ask_without_being_known() {
    let everywhere = Settings { listen: Some(([0, 0, 0, 0], 0).into()), insecure: true, ..long_timeouts() };
    let service = TestService::with_server(StoreKind::Memory, everywhere).await;
    let anna = service.log_in(&service.stored(&[("a", "1")]).await, "anna").await;
    let cookie = format!("session={anna}");
    let asked = async |version| {
        let response = ask(&service, version, "/forward-auth", &[("cookie", &cookie)]).await;
        let (status, text) = answer(&response);
        (status, text.map(str::to_owned))
    };

    // To this address browsers send no `sec-fetch-site`, and they speak no HTTP/2 without TLS.
    assert_eq!(asked(HttpVersion::Http1).await, (500, Some("BROWSER_REFUSED".to_owned())));
    assert_eq!(asked(HttpVersion::Http2).await, (200, Some("anna".to_owned())));
    assert!(!service.session(&anna).await.new, "other calls are served");
}

#[tokio::test]
async fn without_connect_no_proxy_is_answered() {
    let settings = Settings { protocols: Protocols { grpc: true, connect: false }, ..long_timeouts() };
    let service = TestService::with_server(StoreKind::Memory, settings).await;

    let response = ask(&service, HttpVersion::Http2, "/forward-auth", &[]).await;

    assert_eq!(answer(&response), (501, Some("SERVICE_UNKNOWN")));
}

#[tokio::test]
async fn questions_are_calls_of_a_protocol_of_their_own_in_the_metrics() {
    let service = TestService::new(StoreKind::Memory).await;

    ask(&service, HttpVersion::Http1, "/forward-auth", &[]).await;

    let address = service.admin_address.strip_prefix("http://").unwrap().parse().unwrap();
    let page = Request::get("http://localhost/metrics").body(Bytes::new()).unwrap();
    let metrics = ConnectTransport::new(Target::Tcp(address), Codec::Json, HttpVersion::Http1).request(page).await;
    let rpc = "cloakroom.v1.SessionService/OpenSession";
    let line = format!("cloakroom_calls_total{{rpc=\"{rpc}\",protocol=\"forward_auth\",code=\"OK\"}} 1\n");
    assert!(String::from_utf8_lossy(metrics.body()).contains(&line));
}
