//! The callers and the access table that every connection of a server is checked against.

use std::sync::Arc;

use super::{Access, CallerRegistry, Callers, CertificateName, Peer, PeerAddress, access};

/// Checks the calls of all connections. Clones share the callers.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    registry: CallerRegistry,
    /// What each RPC needs, by its number. A call without a number here is no RPC.
    access: Arc<[Access]>,
}

impl Authenticator {
    /// An authenticator for these RPCs, by their numbers, and the callers of the registry.
    pub fn new(registry: CallerRegistry, rpcs: &[String]) -> Self {
        Self { registry, access: rpcs.iter().map(|rpc| access(rpc)).collect() }
    }

    /// The peer of a new connection, with the names in its client certificate.
    pub fn peer(&self, address: PeerAddress, names: Vec<CertificateName>) -> Peer {
        Peer::new(self.clone(), address, names)
    }

    /// The callers that are configured now.
    pub(super) fn callers(&self) -> arc_swap::Guard<Arc<Callers>> {
        self.registry.callers()
    }

    pub(super) const fn registry(&self) -> &CallerRegistry {
        &self.registry
    }

    /// What the RPC with this number needs.
    pub(super) fn access_to(&self, rpc: usize) -> Option<Access> {
        self.access.get(rpc).copied()
    }
}
