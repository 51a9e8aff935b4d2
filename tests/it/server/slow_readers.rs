//! Answers that a peer reads slowly, or not to the end: by TCP and by TLS.

use bytes::Bytes;
use cloakroom::server::{Settings, ShutdownReport, TlsSettings};
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tonic::Code;

use super::support::client::{Client, reply, request};
use super::support::raw_http2::{
    END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, RawHttp2, SETTINGS, WINDOW_UPDATE, frame, preface, reset, whole_call,
};
use super::support::test_server::{TestServer, eventually, ms, settings, with_timeout};
use crate::support::authority::{CertificateAuthority, TlsClient};

/// The largest answer of the service.
const LARGE: usize = 4 << 20;

/// A server whose peers read slowly.
struct Scene {
    server: TestServer,
    authority: Option<(CertificateAuthority, TempDir)>,
}

impl Scene {
    /// Starts a server with TCP, and one with TLS.
    async fn each(settings: &Settings) -> [Self; 2] {
        let (authority, folder) = (CertificateAuthority::new(), tempfile::tempdir().unwrap());
        let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        authority.sign("localhost").write(&certificate, &key);
        let tls = TlsSettings { certificate_file: Some(certificate), key_file: Some(key), client_ca_file: None };
        let with_tls = Settings { tls, ..settings.clone() };
        [
            Self { server: TestServer::start(settings).await, authority: None },
            Self { server: TestServer::start(&with_tls).await, authority: Some((authority, folder)) },
        ]
    }

    /// Connects a client whose socket has little room, and whose windows have much.
    async fn client(&self) -> Client {
        let socket = narrow_socket(&self.server).await;
        match &self.authority {
            None => Client::with_large_windows(socket).await,
            Some((authority, _)) => {
                let authority = authority.pem();
                let stream = TlsClient::trusting(&authority).connect_over(socket).await.unwrap();
                Client::with_large_windows(stream).await
            }
        }
    }
}

async fn narrow_socket(server: &TestServer) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    with_timeout(socket.connect(server.address())).await.unwrap()
}

/// Returns bytes of which no two neighbouring kilobytes are the same.
fn message(length: usize) -> Bytes {
    (0..=250).cycle().take(length).collect::<Vec<u8>>().into()
}

#[tokio::test]
async fn a_slow_reader_receives_small_and_large_answers_whole() {
    for scene in Scene::each(&settings()).await {
        let client = scene.client().await;
        let messages: Vec<_> = [LARGE, 10, 1300, 1 << 20, 16_000, 17_000].repeat(3).into_iter().map(message).collect();

        let answers = join_all(messages.iter().map(|message| client.send(request("Echo"), message.clone()))).await;

        for (answer, message) in answers.iter().zip(&messages) {
            assert_eq!(answer.code(), Code::Ok);
            assert!(answer.body == message, "{} bytes of {}", answer.body.len(), message.len());
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_being_read_survives_a_stop() {
    for scene in Scene::each(&settings()).await {
        let client = scene.client().await;
        let answer = client.begin_message(request("Echo"), message(LARGE)).await;
        eventually(async || client.call("Echo").await.code() == Code::Ok).await;

        scene.server.stop();
        let answer = reply(answer).await.unwrap();

        assert_eq!((answer.code(), answer.body.len()), (Code::Ok, LARGE));
        assert!(client.closed().await.is_ok());
        assert_eq!(scene.server.report().await, ShutdownReport { cut_connections: 0 });
    }
}

#[tokio::test]
async fn a_peer_that_breaks_off_an_answer_holds_nothing() {
    // One answer has 16 MiB, and a worker may have half of the budget.
    let settings = Settings { pending_budget_bytes: 256 << 20, ..settings() };
    for scene in Scene::each(&settings).await {
        for _ in 0..5 {
            let client = scene.client().await;
            let answer = client.begin("Large").await;
            let (head, _body) = with_timeout(answer).await.unwrap().into_parts();
            assert!(head.status.is_success());
            client.abort();
        }

        assert_eq!(scene.server.close().await, ShutdownReport { cut_connections: 0 });
    }
}

#[tokio::test]
async fn an_answer_that_stays_in_the_socket_ends_its_connection() {
    let settings = Settings { send_timeout: ms(1000), drain_timeout: ms(100), workers: 1, ..settings() };
    let server = TestServer::start(&settings).await;
    let other = server.client().await;
    other.call("Echo").await;
    let holders = server.echo.holders();
    let mut peer = RawHttp2::over(narrow_socket(&server).await);
    let windows = [preface(&[(INITIAL_WINDOW_SIZE, HUGE)]), frame(WINDOW_UPDATE, 0, 0, &HUGE.to_be_bytes())];

    peer.send(&[&*windows.concat(), &whole_call(1, "/test.Echo/Large", b"+")].concat()).await;
    eventually(async || server.echo.holders() > holders).await;

    eventually(async || server.echo.holders() == holders).await;
    assert_eq!(other.call("Echo").await.code(), Code::Ok);
}

#[tokio::test]
async fn calls_of_a_peer_that_leaves_responses_unread_begin_when_it_has_read_them() {
    let server = TestServer::start(&settings()).await;
    let mut peer = RawHttp2::connect_with_settings(server.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let streams = || (1..).step_by(2).take(30);
    let message = message(1000);

    peer.send(&streams().flat_map(|stream| whole_call(stream, "/test.Echo/Echo", &message)).collect::<Vec<_>>()).await;
    let begun = peer.taken_in().await.iter().filter(|frame| frame.kind == HEADERS).count();
    // They wait, and their time is not over: the ones after them begin all the same.
    let given_up = 47..=51;
    peer.send(&streams().filter(|stream| given_up.contains(stream)).flat_map(reset).collect::<Vec<_>>()).await;
    let window = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &HUGE.to_be_bytes()].concat();
    peer.send(&[frame(SETTINGS, 0, 0, &window), frame(WINDOW_UPDATE, 0, 0, &HUGE.to_be_bytes())].concat()).await;

    assert!((1..=20).contains(&begun), "{begun} of 30 calls have begun");
    let mut unanswered: Vec<u32> = streams().filter(|stream| !given_up.contains(stream)).collect();
    while !unanswered.is_empty() {
        let frame = peer.next_frame().await;
        if frame.kind == HEADERS && frame.flags & END_STREAM != 0 {
            unanswered.retain(|stream| *stream != frame.stream);
        }
    }
}

#[tokio::test]
async fn calls_whose_service_does_not_read_their_request_hold_up_no_other() {
    let server = TestServer::start(&settings()).await;
    let mut peer = RawHttp2::connect_with_settings(server.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let (streams, last) = ((1..).step_by(2), 141);
    let calls = streams.take_while(|stream| *stream <= last).flat_map(|stream| match stream {
        1..40 | 141 => whole_call(stream, "/test.Echo/Echo", &message(1000)),
        _ => whole_call(stream, "/test.Echo/Wait", b"+"),
    });

    peer.send(&calls.collect::<Vec<_>>()).await;
    let begun = peer.taken_in().await.iter().filter(|frame| frame.kind == HEADERS).count();
    let window = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &HUGE.to_be_bytes()].concat();
    peer.send(&[frame(SETTINGS, 0, 0, &window), frame(WINDOW_UPDATE, 0, 0, &HUGE.to_be_bytes())].concat()).await;

    assert!((1..=20).contains(&begun), "{begun} calls have begun");
    assert_eq!(peer.frame_of(last).await.kind, HEADERS);
}

#[tokio::test]
async fn one_large_response_that_is_not_read_holds_up_no_other_call() {
    let settings = Settings { pending_budget_bytes: 256 << 20, ..settings() };
    let server = TestServer::start(&settings).await;
    let mut peer = RawHttp2::connect_with_settings(server.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;

    peer.send(&whole_call(1, "/test.Echo/Large", b"+")).await;
    peer.answered().await;
    peer.send(&whole_call(3, "/test.Echo/Echo", b"+")).await;

    assert_eq!(peer.frame_of(3).await.kind, HEADERS);
}

/// A window that never holds up the server.
const HUGE: u32 = 1 << 30;
