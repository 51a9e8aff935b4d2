//! A server in the process of the test, and waiting.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use cloakroom::server::{Server, Settings, ShutdownReport};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::echo::Echo;

/// A running server with [`Echo`] behind it.
#[derive(Debug)]
pub(in crate::server) struct TestServer {
    pub(in crate::server) echo: Echo,
    address: Option<SocketAddr>,
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<ShutdownReport>>,
}

impl TestServer {
    /// Starts a server.
    pub(in crate::server) async fn start(settings: &Settings) -> Self {
        let server = Server::bind(settings).await.unwrap();
        let (echo, stop, address) = (Echo::new(), CancellationToken::new(), server.tcp_addr());
        let service = echo.clone();
        let running = tokio::spawn(server.run(move |_| service.clone(), stop.clone()));
        Self { echo, address, stop, running }
    }

    /// Returns the address that it listens on.
    pub(in crate::server) fn address(&self) -> SocketAddr {
        self.address.expect("the test has set an address")
    }

    /// Connects a client.
    pub(in crate::server) async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Starts the drain.
    pub(in crate::server) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the end of the drain.
    pub(in crate::server) async fn report(self) -> ShutdownReport {
        with_timeout(self.running).await.unwrap().unwrap()
    }

    /// Drops the running server without a drain.
    pub(in crate::server) fn abandon(self) {
        self.running.abort();
    }

    /// Starts the drain and waits for its end.
    pub(in crate::server) async fn close(self) -> ShutdownReport {
        self.stop();
        self.report().await
    }
}

/// Connects from another address of loopback.
pub(in crate::server) async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    with_timeout(socket.connect(address)).await.unwrap()
}

/// Returns settings with a free port and two workers. Their timeouts are longer than a test waits, so that only one that it
/// sets can end something.
pub(in crate::server) fn settings() -> Settings {
    let long = Duration::from_secs(600);
    Settings {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        workers: 2,
        first_request_timeout: long,
        request_timeout: long,
        call_timeout: long,
        drain_timeout: long,
        ..Settings::default()
    }
}

/// Checks that a timeout came not too early, and long before any other.
pub(in crate::server) fn is_about(elapsed: Duration, expected: Duration) -> bool {
    (expected.saturating_sub(ms(5))..expected + Duration::from_secs(60)).contains(&elapsed)
}

/// Awaits a future for at most a minute, which is far longer than any of them needs.
pub(in crate::server) async fn with_timeout<F: Future>(future: F) -> F::Output {
    time::timeout(Duration::from_secs(60), future).await.expect("it happens within a minute")
}

/// Repeats a check until it is true.
pub(in crate::server) async fn eventually<F: Future<Output = bool>>(mut check: impl FnMut() -> F) {
    with_timeout(async {
        while !check().await {
            time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Returns a duration in milliseconds.
pub(in crate::server) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
