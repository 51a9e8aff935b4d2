//! The callers and the access table, which all connections of a server check their calls against.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::{Access, CallerRegistry, Callers, CertificateName, Peer, PeerAddress, TokenHash, access};

/// The callers, and what each RPC needs from them. Clones share the callers.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    registry: CallerRegistry,
    /// By the index of the RPC in the list that [`Self::new`] was given.
    access: Arc<[Option<Access>]>,
    console_key: Option<TokenHash>,
}

impl Authenticator {
    /// Creates an authenticator for these RPCs and the callers of the registry.
    pub fn new(registry: CallerRegistry, rpcs: &[String]) -> Self {
        Self { registry, access: rpcs.iter().map(|rpc| access(rpc)).collect(), console_key: None }
    }

    /// Returns the same authenticator with a key of the console, for a service without callers.
    pub fn with_console_key(self, key: &str) -> Self {
        Self { console_key: Some(TokenHash::of(key.as_bytes())), ..self }
    }

    /// Returns the peer of a new connection, with the names in its client certificate.
    pub fn peer(&self, address: PeerAddress, names: Vec<CertificateName>) -> Peer {
        Peer::new(self.clone(), address, names)
    }

    /// Returns the callers that are configured now.
    pub(super) fn callers(&self) -> arc_swap::Guard<Arc<Callers>> {
        self.registry.callers()
    }

    /// Whether this is the key of the console.
    pub(super) fn is_console_key(&self, presented: TokenHash) -> bool {
        self.console_key.is_some_and(|key| key.bytes().ct_eq(presented.bytes()).into())
    }

    pub(super) const fn registry(&self) -> &CallerRegistry {
        &self.registry
    }

    /// Returns what the RPC with this index needs. `None`: it is closed, or there is no such RPC.
    pub(super) fn access_to(&self, rpc: usize) -> Option<Access> {
        self.access.get(rpc).copied().flatten()
    }
}
