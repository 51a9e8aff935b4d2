//! The accept loop: admits connections and hands them to workers.

use std::io;
use std::sync::Arc;

use tokio::time;
use tokio_util::sync::CancellationToken;

use super::backoff::{Advice, Backoff};
use super::connection_limits::ConnectionLimits;
use super::listeners::{Listeners, Socket};
use super::workers::Workers;
use crate::auth::PeerAddress;
use crate::server::Settings;
use crate::server::connection::connection_metrics::ConnectionMetrics;

/// The listeners, and the workers that serve what comes in.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listeners: Listeners,
    limits: Arc<ConnectionLimits>,
    workers: Workers,
    backoff: Backoff,
}

impl Acceptor {
    pub(crate) fn new(
        settings: &Settings,
        listeners: Listeners,
        connection_metrics: Arc<ConnectionMetrics>,
        workers: Workers,
    ) -> Self {
        Self {
            listeners,
            limits: Arc::new(ConnectionLimits::new(settings, connection_metrics)),
            workers,
            backoff: Backoff::default(),
        }
    }

    /// Accepts until `stop`, closes the listeners, and gives the workers back.
    pub(crate) async fn receive_until(mut self, stop: &CancellationToken) -> Workers {
        stop.run_until_cancelled(self.receive()).await;
        let Self { listeners, limits, workers, .. } = self;
        for (socket, peer_address) in listeners.close() {
            if let Some(admission) = limits.admit(peer_address) {
                workers.hand_over(socket, peer_address, admission).await;
            }
        }
        workers
    }

    async fn receive(&mut self) {
        loop {
            match self.listeners.accept().await {
                Ok((socket, peer_address)) => self.hand_over(socket, peer_address).await,
                Err(error) => self.wait_after(&error).await,
            }
        }
    }

    async fn hand_over(&mut self, socket: Socket, peer_address: PeerAddress) {
        if self.backoff.succeed() {
            tracing::info!("connections are accepted again");
        }
        match self.limits.admit(peer_address) {
            Some(admission) => self.workers.hand_over(socket, peer_address, admission).await,
            // Dropped unanswered: an answer would cost what the cap is there to save.
            None => tracing::debug!("a connection was refused, there are too many"),
        }
    }

    async fn wait_after(&mut self, error: &io::Error) {
        let pause = match self.backoff.advise(error) {
            Advice::Continue => return,
            Advice::Wait(pause) => pause,
            Advice::Begin(pause) => {
                tracing::warn!(error = error as &dyn std::error::Error, "connections cannot be accepted; trying again");
                pause
            }
        };
        time::sleep(pause).await;
    }
}
