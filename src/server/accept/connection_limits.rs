//! The limits on open connections, in total and for each peer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::auth::PeerAddress;
use crate::server::Settings;
use crate::server::connection::ConnectionMetrics;

/// Counts the open connections and refuses new ones above the limits.
#[derive(Debug)]
pub(super) struct ConnectionLimits {
    max: usize,
    max_per_peer: usize,
    metrics: Arc<ConnectionMetrics>,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

impl ConnectionLimits {
    pub(super) fn new(settings: &Settings, metrics: Arc<ConnectionMetrics>) -> Self {
        let Settings { max_connections: max, max_connections_per_peer: max_per_peer, .. } = *settings;
        Self { max, max_per_peer, metrics, open: Mutex::default() }
    }

    /// Counts a connection until the permit is dropped. `None`: there are too many.
    pub(super) fn admit(self: &Arc<Self>, peer_address: PeerAddress) -> Option<ConnectionPermit> {
        let network = peer_address.network();
        let mut open = self.open.lock();
        if open.total >= self.max || network.is_some_and(|network| open.count(network) >= self.max_per_peer) {
            self.metrics.refuse();
            return None;
        }
        self.metrics.accept();
        open.total += 1;
        if let Some(network) = network {
            *open.by_network.entry(network).or_default() += 1;
        }
        Some(ConnectionPermit { limits: Arc::clone(self), network })
    }
}

impl OpenConnections {
    fn count(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).copied().unwrap_or_default()
    }

    fn remove(&mut self, network: Option<IpAddr>) {
        self.total -= 1;
        let Some(network) = network else { return };
        let remaining = self.count(network) - 1;
        // Removed at zero, or the map would grow with every address that ever connected.
        if remaining == 0 {
            self.by_network.remove(&network);
        } else {
            self.by_network.insert(network, remaining);
        }
    }
}

/// Counts one connection as open until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    network: Option<IpAddr>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.open.lock().remove(self.network);
        self.limits.metrics.close();
    }
}
