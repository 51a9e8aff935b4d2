//! Access to the HTTP pages of a service with callers.

use std::net::SocketAddr;

use cloakroom::auth::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::test_server::with_timeout;
use super::support::tls_service::{TlsService, caller, token, uri};
use crate::support::authority::TlsClient;

/// Gets a page by HTTP/1.1 over TLS.
pub(super) async fn get(tls_client: &TlsClient<'_>, address: SocketAddr, path: &str, token: Option<&str>) -> String {
    let mut stream = tls_client.connect(address).await.unwrap();
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server may close without a close_notify of TLS.
    let _end: std::io::Result<usize> = with_timeout(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

/// Gets a metric of a service that has a monitor named `watcher`.
pub(super) async fn metric(service: &TlsService, name: &str) -> u64 {
    let authority = service.authority.pem();
    let tls_client = TlsClient { alpn: &["http/1.1"], ..TlsClient::trusting(&authority) };
    let page = get(&tls_client, service.operators, "/metrics", Some(&token("watcher"))).await;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(value).unwrap_or_else(|| panic!("no {name}: {page}"))
}

#[tokio::test]
async fn metrics_need_a_monitor_or_an_operator_and_health_needs_no_caller() {
    let roles = [("watcher", Role::Monitor), ("desk", Role::Admin), ("reader", Role::Viewer), ("shop", Role::Frontend)];
    let service = TlsService::new(roles.map(|(name, role)| caller(name, role, "*")).into()).await;
    let authority = service.authority.pem();
    let tls_client = TlsClient { alpn: &["http/1.1"], ..TlsClient::trusting(&authority) };

    for (path, name, status) in [
        ("/metrics", None, "401 Unauthorized"),
        ("/metrics", Some("unknown"), "401 Unauthorized"),
        ("/metrics", Some("shop"), "403 Forbidden"),
        ("/metrics", Some("watcher"), "200 OK"),
        ("/metrics", Some("desk"), "200 OK"),
        ("/metrics", Some("reader"), "200 OK"),
        ("/healthz", None, "200 OK"),
        ("/healthz", Some("unknown"), "200 OK"),
        ("/readyz", None, "200 OK"),
        ("/readablez", None, "200 OK"),
        ("/", None, "404 Not Found"),
    ] {
        let by_token = get(&tls_client, service.operators, path, name.map(token).as_deref()).await;
        let own = name.map(|name| service.authority.sign(&uri(name)));
        let shown = TlsClient { identity: own.as_ref(), ..tls_client.clone() };
        let by_certificate = get(&shown, service.operators, path, None).await;

        for answer in [by_token, by_certificate] {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path} {name:?}: {answer}");
            assert_eq!(answer.contains("cloakroom_calls_total"), status == "200 OK" && path == "/metrics", "{answer}");
            assert_eq!(answer.contains("www-authenticate: Bearer"), status.starts_with('4') && path == "/metrics");
        }
    }
}
