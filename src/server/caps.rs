//! The caps on open connections, in all and for each caller.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::traffic::Traffic;
use super::{Peer, Settings};

/// Counts open connections and refuses those above the caps.
#[derive(Debug)]
pub(super) struct Caps {
    max: usize,
    max_per_peer: usize,
    traffic: Arc<Traffic>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
}

impl Caps {
    pub(super) fn new(settings: &Settings, traffic: Arc<Traffic>) -> Self {
        let Settings { max_connections: max, max_connections_per_peer: max_per_peer, .. } = *settings;
        Self { max, max_per_peer, traffic, open: Mutex::default() }
    }

    /// Counts a connection of `peer` in until the answer is dropped; `None` if it is one too many.
    pub(super) fn admit(self: &Arc<Self>, peer: Peer) -> Option<Admission> {
        let network = peer.network();
        let mut open = self.open.lock();
        if open.all >= self.max || network.is_some_and(|network| open.of(network) >= self.max_per_peer) {
            self.traffic.refuse();
            return None;
        }
        self.traffic.accept();
        open.all += 1;
        if let Some(network) = network {
            *open.by_network.entry(network).or_default() += 1;
        }
        Some(Admission { caps: Arc::clone(self), network })
    }
}

impl Open {
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
pub(super) struct Admission {
    caps: Arc<Caps>,
    network: Option<IpAddr>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.caps.open.lock().leave(self.network);
        self.caps.traffic.close();
    }
}
