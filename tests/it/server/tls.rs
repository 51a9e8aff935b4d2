//! TLS: versions, client certificates, and certificates that change while the service runs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use cloakroom::auth::Role;
use cloakroom::server::{BindError, Protocols, Server, Settings, TlsSettings};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use super::page_access::metric;
use super::support::client::{Client, Reply, request};
use super::support::test_server::{eventually, ms, settings, with_timeout};
use super::support::tls_service::{TlsService, caller, token, uri};
use crate::support::authority::{CertificateAuthority, TlsClient};

/// Starts a service with a frontend and a monitor.
async fn service() -> TlsService {
    service_with(settings()).await
}

async fn service_with(settings: Settings) -> TlsService {
    let callers = [caller("shop", Role::Frontend, "*"), caller("watcher", Role::Monitor, "*")];
    TlsService::with(callers.into(), settings).await
}

/// Makes a frontend's call, with the certificate of the connection.
async fn call(client: &Client) -> Reply {
    let mut call = request("");
    *call.uri_mut() = "http://localhost/cloakroom.v1.SessionService/GetAppPolicy".parse().unwrap();
    client.send(call, bytes::Bytes::from_static(&[0; 5])).await
}

/// Tells whether the server accepts a connection. In TLS 1.3 it refuses a certificate only after the client's
/// handshake.
async fn is_accepted(tls_client: &TlsClient<'_>, address: SocketAddr) -> bool {
    let Ok(stream) = tls_client.connect(address).await else { return false };
    let Some(client) = Client::try_over(stream).await else { return false };
    client.is_answered().await
}

async fn failed_handshakes(service: &TlsService) -> u64 {
    metric(service, "cloakroom_tls_handshakes_failed_total{listener=\"frontends\"}").await
}

#[tokio::test]
async fn both_tls_versions_are_supported_and_alpn_selects_http_2() {
    let service = service().await;
    let authority = service.authority.pem();

    for version in [&TLS12, &TLS13] {
        let versions = [version];
        let tls_client = TlsClient { versions: &versions, ..TlsClient::trusting(&authority) };
        let stream = tls_client.connect(service.frontends).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        assert_eq!(call(&Client::over(stream).await).await.reason(), "CALLER_UNKNOWN");
    }
}

#[tokio::test]
async fn without_the_connect_protocol_only_the_admin_listener_accepts_http_1_by_alpn() {
    let protocols = Protocols { grpc: true, connect: false };
    let service = service_with(Settings { protocols, ..settings() }).await;
    let authority = service.authority.pem();
    let tls_client = TlsClient { alpn: &["http/1.1"], ..TlsClient::trusting(&authority) };

    let operators = tls_client.connect(service.operators).await.unwrap();

    assert_eq!(operators.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert!(tls_client.connect(service.frontends).await.is_err());
}

#[tokio::test]
async fn both_listeners_accept_both_http_versions_by_alpn_and_prefer_http_2() {
    let service = service().await;
    let authority = service.authority.pem();

    for address in [service.frontends, service.operators] {
        for (alpn, selected) in [(&["http/1.1"][..], "http/1.1"), (&["http/1.1", "h2"], "h2")] {
            let tls_client = TlsClient { alpn, ..TlsClient::trusting(&authority) };
            let stream = tls_client.connect(address).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(selected.as_bytes()));
        }
    }
}

/// Builds a ClientHello of TLS 1.1.
fn client_hello_tls_1_1() -> Vec<u8> {
    let mut message = vec![3, 2];
    message.extend([7; 32]);
    // No session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression, no extensions.
    message.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let body = u8::try_from(message.len()).unwrap();
    [vec![22, 3, 1, 0, body + 4, 1, 0, 0, body], message].concat()
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let service = service().await;
    let mut socket = TcpStream::connect(service.frontends).await.unwrap();

    socket.write_all(&client_hello_tls_1_1()).await.unwrap();
    let mut answer = Vec::new();
    with_timeout(socket.read_to_end(&mut answer)).await.unwrap();

    // A fatal alert: protocol_version, or handshake_failure if the version is checked last.
    assert!(matches!(answer.as_slice(), [21, 3, _, 0, 2, 2, 70 | 40, ..]), "{answer:?}");
    assert_eq!(failed_handshakes(&service).await, 1);
}

#[tokio::test]
async fn plaintext_is_not_answered() {
    let service = service().await;
    let mut socket = TcpStream::connect(service.frontends).await.unwrap();

    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    let _closed: io::Result<usize> = with_timeout(socket.read_to_end(&mut answer)).await;

    assert!(answer.is_empty() || answer[0] == 21, "an alert at most: {answer:?}");
    assert_eq!(failed_handshakes(&service).await, 1);
}

#[tokio::test]
async fn a_foreign_and_an_expired_certificate_fail_the_handshake() {
    let service = service().await;
    let (authority, foreign) = (service.authority.pem(), CertificateAuthority::new());
    let table = [
        ("good", service.authority.sign(&uri("shop")), true),
        ("foreign", foreign.sign(&uri("shop")), false),
        ("expired", service.authority.sign_until(&uri("shop"), 2001), false),
    ];

    for (what, identity, is_good) in &table {
        for version in [&TLS12, &TLS13] {
            let versions = [version];
            let tls_client =
                TlsClient { identity: Some(identity), versions: &versions, ..TlsClient::trusting(&authority) };
            assert_eq!(is_accepted(&tls_client, service.frontends).await, *is_good, "{what}");
        }
    }
    assert_eq!(failed_handshakes(&service).await, 4);
}

#[tokio::test]
async fn an_unfinished_handshake_times_out() {
    let settings = Settings { first_request_timeout: ms(300), ..settings() };
    let service = service_with(settings).await;
    let mut silent = TcpStream::connect(service.frontends).await.unwrap();
    let mut unfinished = TcpStream::connect(service.frontends).await.unwrap();
    unfinished.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();

    for socket in [&mut silent, &mut unfinished] {
        let _closed: io::Result<usize> = with_timeout(socket.read(&mut [0; 64])).await;
    }

    assert_eq!(failed_handshakes(&service).await, 2);
}

#[tokio::test]
async fn unfinished_handshakes_block_no_other_connection() {
    let settings =
        Settings { max_connections_per_peer: 2000, first_request_timeout: Duration::from_secs(600), ..settings() };
    let service = service_with(settings).await;

    let mut unfinished = Vec::new();
    for _ in 0..600 {
        let mut socket = TcpStream::connect(service.frontends).await.unwrap();
        socket.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        unfinished.push(socket);
    }

    let client = service.client(service.frontends).await;
    assert_eq!(call(&client).await.reason(), "CALLER_UNKNOWN");
    eventually(async || failed_handshakes(&service).await >= 80).await;
}

#[tokio::test]
async fn a_new_certificate_applies_to_new_connections_only() {
    let service = service().await;
    let before = service.client(service.frontends).await;
    let other = CertificateAuthority::new();
    let (new, old) = (other.pem(), service.authority.pem());
    assert!(!is_accepted(&TlsClient::trusting(&new), service.frontends).await);

    other.sign("localhost").write(&service.path("server.pem"), &service.path("server.key"));

    // The service finds the change by itself.
    eventually(async || is_accepted(&TlsClient::trusting(&new), service.frontends).await).await;
    eventually(async || is_accepted(&TlsClient::trusting(&new), service.operators).await).await;
    assert!(!is_accepted(&TlsClient::trusting(&old), service.frontends).await);
    assert_eq!(call(&before).await.reason(), "CALLER_UNKNOWN");
}

#[tokio::test]
async fn an_invalid_new_certificate_keeps_the_old_one() {
    let service = service().await;
    let authority = service.authority.pem();
    let another = service.authority.sign("localhost");
    let good = std::fs::read_to_string(service.path("server.pem")).unwrap();

    let broken = ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &another.certificate];
    for certificate in broken {
        std::fs::write(service.path("server.pem"), certificate).unwrap();
        service.reloader.refresh_certificates();
        assert!(is_accepted(&TlsClient::trusting(&authority), service.frontends).await, "{certificate}");
    }
    for name in ["server.pem", "server.key", "ca.pem"] {
        std::fs::remove_file(service.path(name)).unwrap();
        service.reloader.refresh_certificates();
        assert!(is_accepted(&TlsClient::trusting(&authority), service.frontends).await, "{name} is gone");
    }
    std::fs::write(service.path("server.pem"), good).unwrap();
    service.reloader.refresh_certificates();
    assert!(is_accepted(&TlsClient::trusting(&authority), service.frontends).await);
}

#[tokio::test]
async fn a_new_client_authority_is_accepted_after_a_reload() {
    let service = service().await;
    let (authority, other) = (service.authority.pem(), CertificateAuthority::new());
    let certificate = other.sign(&uri("shop"));
    let tls_client = TlsClient { identity: Some(&certificate), ..TlsClient::trusting(&authority) };
    assert!(!is_accepted(&tls_client, service.frontends).await);

    std::fs::write(service.path("ca.pem"), format!("{}{}", authority, other.pem())).unwrap();
    service.reloader.refresh_certificates();

    let client = Client::over(tls_client.connect(service.frontends).await.unwrap()).await;
    assert_eq!(call(&client).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let settings = Settings { first_request_timeout: Duration::from_secs(600), ..settings() };
    let service = service_with(settings).await;
    let mut unfinished = TcpStream::connect(service.frontends).await.unwrap();
    unfinished.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();

    service.stop();

    let _closed: io::Result<usize> = with_timeout(unfinished.read(&mut [0; 64])).await;
}

#[tokio::test]
async fn the_error_of_an_unusable_file_names_it_and_contains_no_secret() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), CertificateAuthority::new());
    let path = |name: &str| folder.path().join(name);
    let (one, other) = (authority.sign("localhost"), authority.sign("localhost"));
    one.write(&path("one.pem"), &path("one.key"));
    other.write(&path("other.pem"), &path("other.key"));
    std::fs::write(path("empty"), "").unwrap();
    let table = [
        ("one.pem", "other.key", "other.key: the key is not that of the certificate"),
        ("gone.pem", "one.key", "gone.pem: it cannot be read: "),
        ("empty", "one.key", "empty: there is no certificate in PEM in it"),
        ("one.pem", "empty", "empty: there is no private key in PEM in it"),
        ("one.pem", "one.pem", "one.pem: there is no private key in PEM in it"),
    ];

    for (certificate, key, words) in table {
        let tls =
            TlsSettings { certificate_file: Some(path(certificate)), key_file: Some(path(key)), ..Default::default() };
        let refused = Server::bind(&Settings { tls, ..settings() }).await.map(|_| ()).unwrap_err();

        let BindError::Tls { source: error, .. } = refused else { panic!("{refused}") };
        let message = error.to_string();
        assert!(message.contains(words), "{message}");
        assert!(!message.contains(&one.key[60..90]) && !message.contains(&other.key[60..90]), "{message}");
    }
}

#[tokio::test]
async fn incomplete_settings_are_refused() {
    let certificate = TlsSettings { certificate_file: Some("c".into()), ..Default::default() };
    let key = TlsSettings { key_file: Some("k".into()), ..Default::default() };
    let client_ca = TlsSettings { client_ca_file: Some("c".into()), ..Default::default() };
    let idle = TlsSettings { key_file: Some("k".into()), client_ca_file: Some("c".into()), ..certificate.clone() };

    for (tls, missing) in [
        (certificate, "tls.key_file: "),
        (key, "tls.certificate_file: "),
        (client_ca, "tls.certificate_file: "),
        (idle, "tls.client_ca_file: no caller is known by its certificate"),
    ] {
        let refused = Server::bind(&Settings { tls, ..settings() }).await.map(|_| ()).unwrap_err().to_string();
        assert!(refused.starts_with(missing), "{refused}");
    }
}

#[tokio::test]
async fn a_token_is_accepted_on_a_connection_with_an_unknown_certificate() {
    let service = service().await;
    let (authority, own) = (service.authority.pem(), service.authority.sign("spiffe://test/somebody"));
    let tls_client = TlsClient { identity: Some(&own), ..TlsClient::trusting(&authority) };
    let client = Client::over(tls_client.connect(service.frontends).await.unwrap()).await;
    let mut with_token = request("");
    *with_token.uri_mut() = "http://localhost/cloakroom.v1.SessionService/GetAppPolicy".parse().unwrap();
    with_token.headers_mut().insert("authorization", format!("bearer {}", token("shop")).parse().unwrap());

    let answer = client.send(with_token, bytes::Bytes::from_static(&[0; 5])).await;

    assert_eq!(answer.code(), Code::Ok);
    let unknown = call(&client).await;
    assert_eq!(unknown.code(), Code::Unauthenticated);
    assert!(unknown.message().contains("certificate_names"), "{}", unknown.message());
}
