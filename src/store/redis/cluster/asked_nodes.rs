//! Nodes that are getting a slot and have none yet: other nodes redirect to them by ASK.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::slots::Node;
use crate::store::redis::server_address::ServerAddress;

/// The nodes, each with the time when it was asked last. Their connections stay open for a while.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct AskedNodes(Mutex<Vec<(Arc<Node>, Instant)>>);

impl AskedNodes {
    /// Returns the node at this address, to ask it.
    pub(in crate::store::redis) fn find(&self, address: &ServerAddress) -> Option<Arc<Node>> {
        find(&mut self.0.lock(), address)
    }

    /// The same, and makes it if it is new.
    pub(in crate::store::redis) fn find_or_add(
        &self,
        address: &ServerAddress,
        make: impl FnOnce() -> Arc<Node>,
    ) -> Arc<Node> {
        let mut nodes = self.0.lock();
        find(&mut nodes, address).unwrap_or_else(|| {
            let node = make();
            nodes.push((Arc::clone(&node), Instant::now()));
            node
        })
    }

    /// Returns the node at this address, because it has a slot now.
    pub(in crate::store::redis) fn take(&self, address: &ServerAddress) -> Option<Arc<Node>> {
        let mut nodes = self.0.lock();
        let index = nodes.iter().position(|(node, _)| node.address == *address)?;
        Some(nodes.swap_remove(index).0)
    }

    /// Forgets all nodes but those at these addresses.
    pub(in crate::store::redis) fn keep(&self, addresses: &[ServerAddress]) {
        self.0.lock().retain(|(node, _)| addresses.contains(&node.address));
    }

    /// Forgets the nodes that nobody has asked for a while: their move has ended, or was cancelled.
    pub(in crate::store::redis) fn forget_old(&self) {
        self.0.lock().retain(|(_, asked)| asked.elapsed() < MAX_AGE);
    }
}

fn find(nodes: &mut [(Arc<Node>, Instant)], address: &ServerAddress) -> Option<Arc<Node>> {
    let (node, asked) = nodes.iter_mut().find(|(node, _)| node.address == *address)?;
    *asked = Instant::now();
    Some(Arc::clone(node))
}

const MAX_AGE: Duration = Duration::from_secs(60);
