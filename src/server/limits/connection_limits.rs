//! The limits on open connections, in total and for each peer.
//!
//! At a limit, a new connection replaces the oldest one that has not had a call answered yet. A peer that only opens
//! connections so cannot keep out one that uses them. A peer whose connections break the protocol, or end without any
//! use, is served later and later; see [`Misuse`].

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::misuse::Misuse;
use crate::auth::PeerAddress;
use crate::server::Settings;
use crate::server::connection_metrics::{ConnectionMetrics, Cut};

/// Counts the open connections and refuses new ones above the limits.
#[derive(Debug)]
pub(in crate::server) struct ConnectionLimits {
    max: usize,
    max_per_peer: usize,
    metrics: Arc<ConnectionMetrics>,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next_number: u64,
    total: usize,
    /// By network; the processes on the Unix socket are one peer.
    peers: HashMap<Option<IpAddr>, PeerConnections>,
}

#[derive(Debug, Default)]
struct PeerConnections {
    open: usize,
    calls: Arc<AtomicUsize>,
    /// The connections without an answered call, by age.
    unused: BTreeMap<u64, Arc<ConnectionControl>>,
    misuse: Misuse,
}

/// The limit that a refused connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum TooMany {
    /// `max_connections`.
    InTotal,
    /// `max_connections_per_peer`.
    OfPeer,
}

/// The state that others need to end a connection.
#[derive(Debug)]
pub(in crate::server) struct ConnectionControl {
    /// Numbers rise with the time of the connection.
    pub(in crate::server) number: u64,
    pub(in crate::server) network: Option<IpAddr>,
    cut: Notify,
    is_cut: AtomicBool,
    is_replaced: AtomicBool,
    is_violated: AtomicBool,
}

impl ConnectionControl {
    pub(in crate::server) fn new(number: u64, network: Option<IpAddr>) -> Self {
        Self {
            number,
            network,
            cut: Notify::new(),
            is_cut: AtomicBool::new(false),
            is_replaced: AtomicBool::new(false),
            is_violated: AtomicBool::new(false),
        }
    }

    /// Ends the connection at once.
    pub(in crate::server) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        self.cut.notify_one();
    }

    /// Whether the connection ends, or has ended, by [`Self::cut`].
    pub(in crate::server) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Records that the peer broke the protocol, or was told to go.
    pub(in crate::server) fn record_violation(&self) {
        self.is_violated.store(true, Ordering::Relaxed);
    }

    /// Waits until the connection has to end at once.
    pub(in crate::server) async fn wait_until_cut(&self) {
        self.cut.notified().await;
    }
}

impl ConnectionLimits {
    pub(in crate::server) fn new(settings: &Settings, metrics: Arc<ConnectionMetrics>) -> Self {
        let Settings { max_connections: max, max_connections_per_peer: max_per_peer, .. } = *settings;
        Self { max, max_per_peer, metrics, open: Mutex::default() }
    }

    /// Counts a connection until the permit is dropped.
    pub(in crate::server) fn admit(self: &Arc<Self>, peer_address: PeerAddress) -> Result<ConnectionPermit, TooMany> {
        let network = peer_address.network();
        let mut open = self.open.lock();
        self.make_room(&mut open, network).inspect_err(|_| self.metrics.refuse())?;
        self.metrics.accept();
        let number = open.next_number;
        open.next_number += 1;
        open.total += 1;
        let control = Arc::new(ConnectionControl::new(number, network));
        let peer = open.peers.entry(network).or_default();
        peer.open += 1;
        peer.unused.insert(number, Arc::clone(&control));
        // Local processes have passed the check of the socket's file mode.
        let delay = if network.is_some() { peer.misuse.delay(Instant::now()) } else { Duration::ZERO };
        Ok(ConnectionPermit {
            limits: Arc::clone(self),
            control,
            calls: Arc::clone(&peer.calls),
            delay,
            is_used: AtomicBool::new(false),
        })
    }

    /// Makes room for a connection of this network, by the end of an unused one if need be.
    fn make_room(&self, open: &mut OpenConnections, network: Option<IpAddr>) -> Result<(), TooMany> {
        let full = |peer: &PeerConnections| network.is_some() && peer.open >= self.max_per_peer;
        if open.peers.get(&network).is_some_and(full) {
            return if self.replace(open, network) { Ok(()) } else { Err(TooMany::OfPeer) };
        }
        if open.total < self.max {
            return Ok(());
        }
        let most = open.peers.iter().max_by_key(|(_, peer)| peer.unused.len()).map(|(network, _)| *network);
        if most.is_some_and(|network| self.replace(open, network)) { Ok(()) } else { Err(TooMany::InTotal) }
    }

    fn replace(&self, open: &mut OpenConnections, network: Option<IpAddr>) -> bool {
        let Some(peer) = open.peers.get_mut(&network) else { return false };
        let Some((_, oldest)) = peer.unused.pop_first() else { return false };
        peer.open -= 1;
        open.total -= 1;
        oldest.is_replaced.store(true, Ordering::Relaxed);
        oldest.cut();
        self.metrics.cut(Cut::Replaced);
        true
    }
}

/// Counts one connection as open until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    pub(in crate::server) control: Arc<ConnectionControl>,
    /// The running calls of the peer.
    pub(in crate::server) calls: Arc<AtomicUsize>,
    /// How long the connection has to wait, because of what the peer did before.
    pub(in crate::server) delay: Duration,
    is_used: AtomicBool,
}

impl ConnectionPermit {
    /// Whether a call of an authenticated caller was answered.
    pub(in crate::server) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Records that a call of an authenticated caller was answered.
    pub(in crate::server) fn record_use(&self) {
        if !self.is_used() && !self.is_used.swap(true, Ordering::Relaxed) {
            let mut open = self.limits.open.lock();
            if let Some(peer) = open.peers.get_mut(&self.control.network) {
                peer.unused.remove(&self.control.number);
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let (now, network) = (Instant::now(), self.control.network);
        let mut open = self.limits.open.lock();
        let OpenConnections { total, peers, .. } = &mut *open;
        if let Some(peer) = peers.get_mut(&network) {
            if !self.control.is_replaced.load(Ordering::Relaxed) {
                *total -= 1;
                peer.open -= 1;
                peer.unused.remove(&self.control.number);
            }
            if self.control.is_violated.load(Ordering::Relaxed) {
                peer.misuse.add_violation(now);
            } else if !self.is_used.load(Ordering::Relaxed) {
                peer.misuse.add_unused(now);
            }
            // Removed, or the map would grow with every address that ever connected.
            if peer.open == 0 && peer.misuse.is_forgotten(now) {
                peers.remove(&network);
            }
        }
        if peers.len() > self.limits.max + MAX_REMEMBERED {
            peers.retain(|_, peer| peer.open > 0);
        }
        self.limits.metrics.close();
    }
}

/// The most peers without a connection whose misuse is remembered.
const MAX_REMEMBERED: usize = 10_000;
