//! TLS: what is spoken, with whom, and certificates that change while the service runs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use cloakroom::auth::Role;
use cloakroom::server::{BindError, Server, Settings, TlsSettings};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use super::page_access::metric;
use super::support::authority::{Authority, Hello, Identity};
use super::support::client::{Client, Reply, request};
use super::support::test_server::{eventually, ms, settings, soon};
use super::support::tls_service::{Secured, caller, token, uri};

/// A service that a shop may call, and whose metrics somebody may read.
async fn with_a_caller() -> Secured {
    with(settings()).await
}

async fn with(settings: Settings) -> Secured {
    let callers = [caller("shop", Role::Frontend, "*"), caller("watcher", Role::Monitor, "*")];
    Secured::with(callers.into(), settings).await
}

/// A frontend's call, with whatever its connection shows.
async fn call(client: &Client) -> Reply {
    let mut call = request("");
    *call.uri_mut() = "http://test/cloakroom.v1.SessionService/GetAppPolicy".parse().unwrap();
    client.send(call, bytes::Bytes::from_static(&[0; 5])).await
}

/// Whether a connection comes about. A server that does not like a certificate says so after TLS 1.3's client is content.
async fn is_welcome(hello: &Hello<'_>, address: SocketAddr) -> bool {
    let Ok(stream) = hello.connect(address).await else { return false };
    let Some(client) = Client::try_over(stream).await else { return false };
    client.is_answered().await
}

async fn failed_handshakes(service: &Secured) -> u64 {
    metric(service, "cloakroom_tls_handshakes_failed_total{listener=\"frontends\"}").await
}

#[tokio::test]
async fn both_versions_are_spoken_and_http_2_is_agreed_on() {
    let service = with_a_caller().await;
    let authority = service.authority.pem();

    for version in [&TLS12, &TLS13] {
        let versions = [version];
        let hello = Hello { versions: &versions, ..Hello::trusting(&authority) };
        let stream = hello.connect(service.frontends).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        assert_eq!(call(&Client::over(stream).await).await.reason(), "CALLER_UNKNOWN");
    }
}

#[tokio::test]
async fn only_where_pages_are_is_http_1_agreed_on() {
    let service = with_a_caller().await;
    let authority = service.authority.pem();
    let hello = Hello { alpn: &["http/1.1"], ..Hello::trusting(&authority) };

    let operators = hello.connect(service.operators).await.unwrap();

    assert_eq!(operators.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert!(hello.connect(service.frontends).await.is_err());
}

/// A ClientHello that can do nothing newer than TLS 1.1.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    // No session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression, no extensions.
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let body = u8::try_from(hello.len()).unwrap();
    [vec![22, 3, 1, 0, body + 4, 1, 0, 0, body], hello].concat()
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let service = with_a_caller().await;
    let mut socket = TcpStream::connect(service.frontends).await.unwrap();

    socket.write_all(&hello_of_tls_1_1()).await.unwrap();
    let mut answer = Vec::new();
    soon(socket.read_to_end(&mut answer)).await.unwrap();

    // An alert, fatal: protocol_version, or handshake_failure where the version is looked at last.
    assert!(matches!(answer.as_slice(), [21, 3, _, 0, 2, 2, 70 | 40, ..]), "{answer:?}");
    assert_eq!(failed_handshakes(&service).await, 1);
}

#[tokio::test]
async fn who_does_not_speak_tls_is_not_answered() {
    let service = with_a_caller().await;
    let mut socket = TcpStream::connect(service.frontends).await.unwrap();

    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    let _closed: io::Result<usize> = soon(socket.read_to_end(&mut answer)).await;

    assert!(answer.is_empty() || answer[0] == 21, "an alert at most: {answer:?}");
    assert_eq!(failed_handshakes(&service).await, 1);
}

#[tokio::test]
async fn a_foreign_an_expired_and_a_self_made_certificate_end_the_handshake() {
    let service = with_a_caller().await;
    let (authority, foreign) = (service.authority.pem(), Authority::new());
    let shown = |identity: &Identity| identity.clone();
    let table = [
        ("good", shown(&service.authority.sign(&uri("shop"))), true),
        ("foreign", shown(&foreign.sign(&uri("shop"))), false),
        ("expired", shown(&service.authority.sign_until(&uri("shop"), 2001)), false),
    ];

    for (what, identity, is_good) in &table {
        for version in [&TLS12, &TLS13] {
            let versions = [version];
            let hello = Hello { shows: Some(identity), versions: &versions, ..Hello::trusting(&authority) };
            assert_eq!(is_welcome(&hello, service.frontends).await, *is_good, "{what}");
        }
    }
    assert_eq!(failed_handshakes(&service).await, 4);
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_ends_in_time() {
    let settings = Settings { first_request_timeout: ms(300), ..settings() };
    let service = with(settings).await;
    let mut silent = TcpStream::connect(service.frontends).await.unwrap();
    let mut half = TcpStream::connect(service.frontends).await.unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();

    for socket in [&mut silent, &mut half] {
        let _closed: io::Result<usize> = soon(socket.read(&mut [0; 64])).await;
    }

    assert_eq!(failed_handshakes(&service).await, 2);
}

#[tokio::test]
async fn half_open_handshakes_keep_nobody_out() {
    let settings =
        Settings { max_connections_per_peer: 2000, first_request_timeout: Duration::from_secs(600), ..settings() };
    let service = with(settings).await;

    let mut half = Vec::new();
    for _ in 0..600 {
        let mut socket = TcpStream::connect(service.frontends).await.unwrap();
        socket.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        half.push(socket);
    }

    let client = service.client(service.frontends).await;
    assert_eq!(call(&client).await.reason(), "CALLER_UNKNOWN");
    eventually(async || failed_handshakes(&service).await >= 80).await;
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_ends_no_old_one() {
    let service = with_a_caller().await;
    let before = service.client(service.frontends).await;
    let other = Authority::new();
    let (new, old) = (other.pem(), service.authority.pem());
    assert!(!is_welcome(&Hello::trusting(&new), service.frontends).await);

    other.sign("localhost").write(&service.path("server.pem"), &service.path("server.key"));

    // Nobody tells it.
    eventually(async || is_welcome(&Hello::trusting(&new), service.frontends).await).await;
    eventually(async || is_welcome(&Hello::trusting(&new), service.operators).await).await;
    assert!(!is_welcome(&Hello::trusting(&old), service.frontends).await);
    assert_eq!(call(&before).await.reason(), "CALLER_UNKNOWN");
}

#[tokio::test]
async fn a_broken_new_pair_leaves_the_old_one_in_force() {
    let service = with_a_caller().await;
    let authority = service.authority.pem();
    let another = service.authority.sign("localhost");
    let good = std::fs::read_to_string(service.path("server.pem")).unwrap();

    let broken = ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &another.certificate];
    for certificate in broken {
        std::fs::write(service.path("server.pem"), certificate).unwrap();
        service.reloader.refresh_certificates();
        assert!(is_welcome(&Hello::trusting(&authority), service.frontends).await, "{certificate}");
    }
    for name in ["server.pem", "server.key", "ca.pem"] {
        std::fs::remove_file(service.path(name)).unwrap();
        service.reloader.refresh_certificates();
        assert!(is_welcome(&Hello::trusting(&authority), service.frontends).await, "{name} is gone");
    }
    std::fs::write(service.path("server.pem"), good).unwrap();
    service.reloader.refresh_certificates();
    assert!(is_welcome(&Hello::trusting(&authority), service.frontends).await);
}

#[tokio::test]
async fn new_signers_of_callers_are_taken_up_too() {
    let service = with_a_caller().await;
    let (authority, other) = (service.authority.pem(), Authority::new());
    let newcomer = other.sign(&uri("shop"));
    let hello = Hello { shows: Some(&newcomer), ..Hello::trusting(&authority) };
    assert!(!is_welcome(&hello, service.frontends).await);

    std::fs::write(service.path("ca.pem"), format!("{}{}", authority, other.pem())).unwrap();
    service.reloader.refresh_certificates();

    let client = Client::over(hello.connect(service.frontends).await.unwrap()).await;
    assert_eq!(call(&client).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_stop_waits_for_no_handshake() {
    let settings = Settings { first_request_timeout: Duration::from_secs(600), ..settings() };
    let service = with(settings).await;
    let mut half = TcpStream::connect(service.frontends).await.unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();

    service.stop();

    let _closed: io::Result<usize> = soon(half.read(&mut [0; 64])).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start_and_hold_no_secret() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
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

        let BindError::Tls(error) = refused else { panic!("{refused}") };
        let told = error.to_string();
        assert!(told.contains(words), "{told}");
        assert!(!told.contains(&one.key[60..90]) && !told.contains(&other.key[60..90]), "{told}");
    }
}

#[tokio::test]
async fn half_of_the_settings_is_a_mistake() {
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
async fn a_token_is_good_on_a_connection_of_a_certificate_that_is_nobodys() {
    let service = with_a_caller().await;
    let (authority, own) = (service.authority.pem(), service.authority.sign("spiffe://test/somebody"));
    let hello = Hello { shows: Some(&own), ..Hello::trusting(&authority) };
    let client = Client::over(hello.connect(service.frontends).await.unwrap()).await;
    let mut with_token = request("");
    *with_token.uri_mut() = "http://test/cloakroom.v1.SessionService/GetAppPolicy".parse().unwrap();
    with_token.headers_mut().insert("authorization", format!("bearer {}", token("shop")).parse().unwrap());

    let answer = client.send(with_token, bytes::Bytes::from_static(&[0; 5])).await;

    assert_eq!(answer.code(), Code::Ok);
    let unknown = call(&client).await;
    assert_eq!(unknown.code(), Code::Unauthenticated);
    assert!(unknown.message().contains("certificate_names"), "{}", unknown.message());
}
