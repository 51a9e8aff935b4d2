//! The metrics of each Redis, and of the changes of a cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Redis;
use super::cluster::Cluster;
use super::connection::connections::Connections;
use super::router::Router;

/// The known facts about the servers at this moment, without asking one.
#[derive(Debug)]
pub struct RedisMetrics {
    /// The primaries that this process has used.
    pub nodes: Vec<NodeMetrics>,
    /// How often another server took the place of a primary, or slots went to another one.
    pub topology_changes: u64,
    /// `None`: it is no cluster.
    pub cluster: Option<ClusterMetrics>,
}

/// A Redis, and whether it answers.
#[derive(Debug)]
pub struct NodeMetrics {
    /// Host and port, or the path of a socket.
    pub address: Arc<str>,
    /// Whether a connection is open. Each is checked once in a second.
    pub is_up: bool,
    /// How often it did not answer what it was sent, because the connection was closed or the timeout was over, or could
    /// not be connected to.
    pub failures: u64,
}

/// The slots of a cluster.
#[derive(Debug)]
pub struct ClusterMetrics {
    /// How many slots have no node. `None`: no node has told that yet.
    pub uncovered_slots: Option<usize>,
    /// How often nodes sent commands elsewhere or put them off, by the code of their error.
    pub redirections: Vec<(&'static str, u64)>,
}

impl Redis {
    pub(in crate::store) fn redis_metrics(&self) -> RedisMetrics {
        match &self.router {
            Router::Single(connections) => RedisMetrics {
                nodes: connections.node_metrics().into_iter().collect(),
                topology_changes: connections.server_changes(),
                cluster: None,
            },
            Router::Cluster(cluster) => cluster.redis_metrics(),
        }
    }
}

impl Cluster {
    fn redis_metrics(&self) -> RedisMetrics {
        let table = self.table();
        RedisMetrics {
            nodes: table.nodes().iter().filter_map(|node| node.connections.node_metrics()).collect(),
            topology_changes: self.topology_changes.load(Ordering::Relaxed),
            cluster: Some(ClusterMetrics {
                uncovered_slots: (!table.nodes().is_empty()).then(|| table.uncovered()),
                redirections: self.redirections.counts().collect(),
            }),
        }
    }
}

impl Connections {
    /// `None`: nobody has used them.
    fn node_metrics(&self) -> Option<NodeMetrics> {
        let is_up = self.is_open()?;
        Some(NodeMetrics { address: self.address(), is_up, failures: self.failures() })
    }
}
