//! The caps on open connections, in all and for each caller.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::auth::PeerAddress;
use crate::server::Settings;
use crate::server::connection::connection_metrics::ConnectionMetrics;

/// Counts open connections and refuses those above the caps.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    max: usize,
    max_per_peer: usize,
    connection_metrics: Arc<ConnectionMetrics>,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
}

impl ConnectionLimits {
    pub(crate) fn new(settings: &Settings, connection_metrics: Arc<ConnectionMetrics>) -> Self {
        let Settings { max_connections: max, max_connections_per_peer: max_per_peer, .. } = *settings;
        Self { max, max_per_peer, connection_metrics, open: Mutex::default() }
    }

    /// Counts a connection of `peer` in until the answer is dropped; `None` if it is one too many.
    pub(crate) fn admit(self: &Arc<Self>, peer_address: PeerAddress) -> Option<ConnectionPermit> {
        let network = peer_address.network();
        let mut open = self.open.lock();
        if open.all >= self.max || network.is_some_and(|network| open.of(network) >= self.max_per_peer) {
            self.connection_metrics.refuse();
            return None;
        }
        self.connection_metrics.accept();
        open.all += 1;
        if let Some(network) = network {
            *open.by_network.entry(network).or_default() += 1;
        }
        Some(ConnectionPermit { limits: Arc::clone(self), network })
    }
}

impl OpenConnections {
    fn of(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).copied().unwrap_or_default()
    }

    fn leave(&mut self, network: Option<IpAddr>) {
        self.all -= 1;
        let Some(network) = network else { return };
        let left = self.of(network) - 1;
        // Forgotten at zero, or the map would keep every address that ever called.
        if left == 0 {
            self.by_network.remove(&network);
        } else {
            self.by_network.insert(network, left);
        }
    }
}

/// One connection that counts as open while this lives.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    network: Option<IpAddr>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.open.lock().leave(self.network);
        self.limits.connection_metrics.close();
    }
}
