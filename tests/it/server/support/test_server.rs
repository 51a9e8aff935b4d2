//! A server that runs in the test.

use std::net::SocketAddr;
use std::time::Duration;

use cloakroom::server::{Server, Settings, ShutdownReport};
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
    pub(in crate::server) async fn open(settings: &Settings) -> Self {
        let server = Server::bind(settings).await.unwrap();
        let (echo, stop, address) = (Echo::new(), CancellationToken::new(), server.tcp_addr());
        let service = echo.clone();
        let running = tokio::spawn(server.run(move |_| service.clone(), stop.clone()));
        Self { echo, address, stop, running }
    }

    /// Where it listens.
    pub(in crate::server) fn address(&self) -> SocketAddr {
        self.address.expect("the settings of a test that asks say where to listen")
    }

    /// A client on a connection of its own.
    pub(in crate::server) async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Begins the drain.
    pub(in crate::server) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the end of the drain.
    pub(in crate::server) async fn report(self) -> ShutdownReport {
        soon(self.running).await.unwrap().unwrap()
    }

    /// Drops the running server.
    pub(in crate::server) fn abandon(self) {
        self.running.abort();
    }

    /// Begins the drain and waits for its end.
    pub(in crate::server) async fn close(self) -> ShutdownReport {
        self.stop();
        self.report().await
    }
}

/// Settings for a test: any port, two workers, nothing that ends by itself.
pub(in crate::server) fn settings() -> Settings {
    Settings { listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), workers: 2, ..Settings::default() }
}

/// What comes, unless it takes so long that it never will.
pub(in crate::server) async fn soon<F: Future>(what: F) -> F::Output {
    time::timeout(Duration::from_secs(60), what).await.expect("it takes far less than a minute, or never happens")
}

/// Tries until it is so.
pub(in crate::server) async fn eventually<F: Future<Output = bool>>(mut so: impl FnMut() -> F) {
    soon(async {
        while !so().await {
            time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Milliseconds.
pub(in crate::server) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
