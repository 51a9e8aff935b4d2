//! The accept loop: admits connections and hands them to workers.

use std::io;
use std::sync::Arc;

use tokio::time;
use tokio_util::sync::CancellationToken;

use super::backoff::{Advice, Backoff};
use super::caps::Caps;
use super::listeners::{Listeners, Socket};
use super::traffic::Traffic;
use super::workers::Workers;
use super::{Peer, Settings};

/// The listeners, and the workers that serve what comes in.
#[derive(Debug)]
pub(super) struct Arrivals {
    listeners: Listeners,
    caps: Arc<Caps>,
    workers: Workers,
    backoff: Backoff,
}

impl Arrivals {
    pub(super) fn new(settings: &Settings, listeners: Listeners, traffic: Arc<Traffic>, workers: Workers) -> Self {
        Self { listeners, caps: Arc::new(Caps::new(settings, traffic)), workers, backoff: Backoff::default() }
    }

    /// Accepts until `stop`, closes the listeners, and gives the workers back.
    pub(super) async fn receive_until(mut self, stop: &CancellationToken) -> Workers {
        stop.run_until_cancelled(self.receive()).await;
        let Self { listeners, caps, workers, .. } = self;
        for (socket, peer) in listeners.close() {
            if let Some(admission) = caps.admit(peer) {
                workers.hand_over(socket, peer, admission).await;
            }
        }
        workers
    }

    async fn receive(&mut self) {
        loop {
            match self.listeners.accept().await {
                Ok((socket, peer)) => self.hand_over(socket, peer).await,
                Err(error) => self.wait_after(&error).await,
            }
        }
    }

    async fn hand_over(&mut self, socket: Socket, peer: Peer) {
        if self.backoff.succeed() {
            tracing::info!("connections are accepted again");
        }
        match self.caps.admit(peer) {
            Some(admission) => self.workers.hand_over(socket, peer, admission).await,
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
