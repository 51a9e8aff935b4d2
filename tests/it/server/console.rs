//! The console: its files, whose calls it makes, and what the RPCs for it tell.

use std::net::SocketAddr;
use std::sync::Arc;

use cloakroom::app::Apps;
use cloakroom::audit::AuditLog;
use cloakroom::auth::{CallerSettings, Callers, Role};
use cloakroom::server::{AdminSettings, Cloakroom, Dependencies};
use cloakroom::store::{Handle, Memory};
use cloakroom::types::SystemClock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::support::test_server::{settings, with_timeout};
use super::support::tls_service::{caller, token};
use crate::support::app_settings;

const FILES: [&str; 7] = [
    "/console",
    "/console/console.css",
    "/console/console.js",
    "/console/connect.js",
    "/console/dom.js",
    "/console/service.js",
    "/console/sessions.js",
];

/// A service without TLS, with the apps `default` and `shop`.
struct Plain {
    operators: SocketAddr,
    key: Option<String>,
    _stop: DropGuard,
}

impl Plain {
    async fn start(callers: impl IntoIterator<Item = (String, CallerSettings)>, console: bool) -> Self {
        let settings = settings();
        let admin = AdminSettings { listen: settings.listen, console, ..Default::default() };
        let apps: Apps = ["default", "shop"].map(|name| app_settings().build(name).unwrap()).into_iter().collect();
        let callers: Vec<_> = callers.into_iter().collect();
        let callers = Callers::build(callers.iter().map(|(name, settings)| (name, settings))).unwrap();
        let store = Handle::from(Memory::new());
        let dependencies = Dependencies {
            apps,
            store,
            clock: Arc::new(SystemClock),
            callers,
            traces: Default::default(),
            metrics: Default::default(),
            audit_log: AuditLog::default(),
        };
        let cloakroom = Cloakroom::bind(&settings, &admin, dependencies).await.unwrap();
        let (operators, key) = (cloakroom.admin_addr().unwrap(), cloakroom.console_key().map(str::to_owned));
        let stop = CancellationToken::new();
        tokio::spawn(cloakroom.run(stop.clone()));
        Self { operators, key, _stop: stop.drop_guard() }
    }

    /// Sends a request with these headers and returns its head and its body.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.operators).await.unwrap();
        let own_host = ("host", self.operators.to_string());
        let host = (!headers.iter().any(|(name, _)| *name == "host")).then_some(("host", own_host.1.as_str()));
        let lines: String =
            headers.iter().copied().chain(host).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        with_timeout(stream.read_to_string(&mut response)).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// Makes a call as a page would; returns the result, or the reason of the refusal.
    async fn call(&self, rpc: &str, headers: &[(&str, &str)]) -> Result<Value, String> {
        let headers: Vec<_> =
            [("content-type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
        let path = format!("/cloakroom.v1.AdminService/{rpc}");
        let (head, body) = self.send("POST", &path, &headers, "{}").await;
        match head.lines().find_map(|line| line.strip_prefix("cloakroom-reason: ")) {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(serde_json::from_str(&body).unwrap()),
        }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.operators)
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn its_files_may_be_loaded_by_itself_alone_and_let_no_other_code_in() {
    let service = Plain::start([], true).await;

    for path in FILES {
        let (head, body) = service.send("GET", path, &[("sec-fetch-site", "same-origin")], "").await;
        let (foreign, _) = service.send("GET", path, &[("sec-fetch-site", "cross-site")], "").await;
        let (framed, _) = service.send("GET", path, &[("origin", "http://evil.example")], "").await;

        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !body.is_empty(), "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{head}");
        assert!(!head.contains("unsafe") && head.contains("frame-ancestors 'none'"), "{head}");
        for header in ["x-content-type-options: nosniff", "cross-origin-opener-policy: same-origin"] {
            assert!(head.contains(header), "{path}: {head}");
        }
        for refused in [foreign, framed] {
            assert!(refused.starts_with("HTTP/1.1 403 "), "{path}: {refused}");
        }
    }
    // Neither the style nor the scripts stand in the page, where its policy would refuse them.
    let (_, page) = service.send("GET", "/console", &[], "").await;
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"), "{page}");
}

#[tokio::test]
async fn a_page_of_its_origin_calls_with_the_token_of_a_caller_and_never_without() {
    let callers = [("desk", Role::Admin), ("reader", Role::Viewer), ("shop", Role::Frontend)];
    let service = Plain::start(callers.map(|(name, role)| caller(name, role, "*")), true).await;
    let own = service.origin();
    let [desk, reader, shop, wrong] = ["desk", "reader", "shop", "nobody"].map(|name| bearer(&token(name)));
    let site = ("sec-fetch-site", "same-origin");

    let call = async |rpc: &str, headers: &[(&str, &str)]| service.call(rpc, headers).await.map(|_| ());
    let refused = |reason: &str| Err(reason.to_owned());

    for token in [&desk, &reader] {
        assert_eq!(call("ListApps", &[("origin", &own), site, ("authorization", token)]).await, Ok(()));
    }
    assert_eq!(call("RevokeApp", &[("origin", &own), site, ("authorization", &desk)]).await, Ok(()));
    assert_eq!(call("RevokeApp", &[("origin", &own), site, ("authorization", &reader)]).await, refused("ROLE_MISSING"));
    assert_eq!(call("ListApps", &[("origin", &own), site, ("authorization", &shop)]).await, refused("ROLE_MISSING"));
    for headers in [
        &[("origin", own.as_str()), site][..],
        &[("origin", &own), site, ("authorization", &wrong)],
        &[("origin", "http://evil.example"), ("authorization", &desk)],
        &[("origin", "null"), ("authorization", &desk)],
        &[("origin", &own), ("origin", "http://evil.example"), ("authorization", &desk)],
        &[("origin", &own), ("sec-fetch-site", "cross-site"), ("authorization", &desk)],
        &[("origin", &own), ("sec-fetch-site", "same-site"), ("authorization", &desk)],
    ] {
        assert_eq!(call("ListApps", headers).await, refused("BROWSER_REFUSED"), "{headers:?}");
    }
}

#[tokio::test]
async fn without_callers_a_page_needs_the_key_of_this_process_and_a_host_of_this_machine() {
    let service = Plain::start([], true).await;
    let (own, key) = (service.origin(), bearer(service.key.as_deref().unwrap()));
    let other = Plain::start([], true).await;
    let foreign = bearer(other.key.as_deref().unwrap());

    let call = async |headers: &[(&str, &str)]| service.call("ListApps", headers).await.map(|_| ());

    assert_eq!(call(&[("origin", &own), ("authorization", &key)]).await, Ok(()));
    assert_eq!(call(&[("origin", &own)]).await, Err("BROWSER_REFUSED".to_owned()));
    assert_eq!(call(&[("origin", &own), ("authorization", &foreign)]).await, Err("BROWSER_REFUSED".to_owned()));
    // A name that leads to loopback, with the key that its page cannot have.
    let rebound = [("host", "evil.example"), ("origin", "http://evil.example"), ("authorization", key.as_str())];
    assert_eq!(call(&rebound).await, Err("HOST_REFUSED".to_owned()));
}

#[tokio::test]
async fn with_callers_the_key_of_the_process_opens_nothing() {
    let service = Plain::start([caller("desk", Role::Admin, "*")], true).await;
    let key = bearer(service.key.as_deref().unwrap());

    let as_page = service.call("ListApps", &[("origin", &service.origin()), ("authorization", &key)]).await;
    let as_program = service.call("ListApps", &[("authorization", &key)]).await;

    assert_eq!(as_page, Err("BROWSER_REFUSED".to_owned()));
    assert_eq!(as_program, Err("CALLER_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn a_service_whose_settings_switch_it_off_has_no_file_of_it_and_hears_no_page() {
    let service = Plain::start([caller("desk", Role::Admin, "*")], false).await;
    let desk = bearer(&token("desk"));

    for path in FILES {
        let (head, _) = service.send("GET", path, &[], "").await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
    let call = service.call("ListApps", &[("origin", &service.origin()), ("authorization", &desk)]).await;
    assert_eq!(call, Err("BROWSER_REFUSED".to_owned()));
    assert!(service.key.is_none());
}

#[tokio::test]
async fn a_caller_sees_its_own_apps_and_only_one_of_all_apps_sees_the_callers() {
    let callers = [caller("desk", Role::Admin, "*"), caller("reader", Role::Viewer, "shop")];
    let service = Plain::start(callers, true).await;
    let [desk, reader] = ["desk", "reader"].map(|name| bearer(&token(name)));
    let call = async |rpc: &str, token: &str| service.call(rpc, &[("authorization", token)]).await.unwrap();
    let names =
        |apps: &Value| apps["apps"].as_array().unwrap().iter().map(|app| app["policy"]["app"].clone()).collect();

    let of_all: Vec<Value> = names(&call("ListApps", &desk).await);
    let of_shop: Vec<Value> = names(&call("ListApps", &reader).await);
    let for_desk = call("GetServiceInfo", &desk).await;
    let for_reader = call("GetServiceInfo", &reader).await;

    assert_eq!((of_all, of_shop), (vec![json!("default"), json!("shop")], vec![json!("shop")]));
    let known = [
        json!({ "name": "desk", "roles": ["admin"], "allApps": true }),
        json!({ "name": "reader", "roles": ["viewer"], "apps": ["shop"] }),
    ];
    assert_eq!((&for_desk["callers"], &for_desk["mayEndSessions"]), (&json!(known), &json!(true)));
    assert_eq!((&for_reader["callers"], &for_reader["mayEndSessions"]), (&Value::Null, &Value::Null));
    assert_eq!((&for_reader["caller"], &for_reader["store"]), (&json!("reader"), &json!("memory")));
}
