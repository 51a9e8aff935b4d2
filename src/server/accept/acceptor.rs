//! The accept loop: admits connections and gives them to the workers.

use std::io;
use std::sync::Arc;

use tokio::time;
use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, Retry};
use super::listeners::Listeners;
use super::refusals::Refusals;
use super::workers::Workers;
use crate::auth::PeerAddress;
use crate::server::Settings;
use crate::server::connection::Socket;
use crate::server::context::ServerContext;
use crate::server::limits::ConnectionLimits;

/// The workers of a server, and what limits the connections that they get.
#[derive(Debug)]
pub(in crate::server) struct Acceptor {
    limits: Arc<ConnectionLimits>,
    workers: Workers,
    backoff: Backoff,
    refusals: Refusals,
}

impl Acceptor {
    pub(in crate::server) fn new(settings: &Settings, context: &ServerContext, workers: Workers) -> Self {
        let limits = ConnectionLimits::new(settings, Arc::clone(&context.connection_metrics));
        Self { limits: Arc::new(limits), workers, backoff: Backoff::default(), refusals: Refusals::new(context) }
    }

    /// Accepts connections until `stop`, then closes the listeners and returns the workers.
    pub(in crate::server) async fn accept_until(mut self, stop: &CancellationToken, listeners: Listeners) -> Workers {
        stop.run_until_cancelled(self.accept(&listeners)).await;
        for (socket, peer_address) in listeners.close() {
            self.admit(socket, peer_address).await;
        }
        self.workers
    }

    async fn accept(&mut self, listeners: &Listeners) {
        loop {
            match listeners.accept().await {
                Ok((socket, peer_address)) => {
                    if self.backoff.on_success() {
                        tracing::info!("connections are accepted again");
                    }
                    self.admit(socket, peer_address).await;
                }
                Err(error) => self.wait_after(&error).await,
            }
        }
    }

    async fn admit(&mut self, socket: Socket, peer_address: PeerAddress) {
        match self.limits.admit(peer_address) {
            Ok(permit) => self.workers.assign(socket, peer_address, permit).await,
            Err(too_many) => self.refusals.refuse(socket, too_many),
        }
    }

    async fn wait_after(&mut self, error: &io::Error) {
        let delay = match self.backoff.on_failure(error) {
            Retry::Immediately => return,
            Retry::NextDelay(delay) => delay,
            Retry::FirstDelay(delay) => {
                tracing::warn!(error = error as &dyn std::error::Error, "connections cannot be accepted; trying again");
                delay
            }
        };
        time::sleep(delay).await;
    }
}
