//! Pages of a service that knows its callers.

use std::net::SocketAddr;

use cloakroom::auth::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::authority::Hello;
use super::support::test_server::soon;
use super::support::tls_service::{Secured, caller, token, uri};

/// The answer to a GET by HTTP/1.1 over TLS.
pub(super) async fn get(hello: &Hello<'_>, address: SocketAddr, path: &str, token: Option<&str>) -> String {
    let mut stream = hello.connect(address).await.unwrap();
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{bearer}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Some servers close without TLS' own goodbye.
    let _end: std::io::Result<usize> = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

/// A number among the metrics of a service that knows a monitor named `watcher`.
pub(super) async fn metric(service: &Secured, name: &str) -> u64 {
    let authority = service.authority.pem();
    let hello = Hello { alpn: &["http/1.1"], ..Hello::trusting(&authority) };
    let page = get(&hello, service.operators, "/metrics", Some(&token("watcher"))).await;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(value).unwrap_or_else(|| panic!("no {name}: {page}"))
}

#[tokio::test]
async fn metrics_are_for_monitors_and_operators_and_health_is_for_all() {
    let roles = [("watcher", Role::Monitor), ("desk", Role::Admin), ("shop", Role::Frontend)];
    let service = Secured::new(roles.map(|(name, role)| caller(name, role, "*")).into()).await;
    let authority = service.authority.pem();
    let hello = Hello { alpn: &["http/1.1"], ..Hello::trusting(&authority) };

    for (path, name, status) in [
        ("/metrics", None, "401 Unauthorized"),
        ("/metrics", Some("stranger"), "401 Unauthorized"),
        ("/metrics", Some("shop"), "403 Forbidden"),
        ("/metrics", Some("watcher"), "200 OK"),
        ("/metrics", Some("desk"), "200 OK"),
        ("/healthz", None, "200 OK"),
        ("/healthz", Some("stranger"), "200 OK"),
        ("/readyz", None, "200 OK"),
        ("/", None, "404 Not Found"),
    ] {
        let by_token = get(&hello, service.operators, path, name.map(token).as_deref()).await;
        let own = name.map(|name| service.authority.sign(&uri(name)));
        let shown = Hello { shows: own.as_ref(), ..hello.clone() };
        let by_certificate = get(&shown, service.operators, path, None).await;

        for answer in [by_token, by_certificate] {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path} {name:?}: {answer}");
            assert_eq!(answer.contains("cloakroom_calls_total"), status == "200 OK" && path == "/metrics", "{answer}");
            assert_eq!(answer.contains("www-authenticate: Bearer"), status.starts_with('4') && path == "/metrics");
        }
    }
}
