//! The settings of the mode `cluster`: nodes to begin from.

use serde::{Deserialize, Serialize};

use crate::store::redis::server_address::ServerAddress;
use crate::store::redis::{Mode, Settings};
use crate::types::SettingError;

/// The `[store.redis.cluster]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// Nodes to begin from besides the one in the url, each as `host:port`. At most 64. All other nodes are found.
    pub nodes: Vec<String>,
}

impl ClusterSettings {
    /// Checks the values for this mode.
    pub(in crate::store::redis) fn check(&self, store: &Settings) -> Result<(), SettingError> {
        if store.mode != Mode::Cluster && !self.nodes.is_empty() {
            return Err(SettingError::new("nodes", UNUSED));
        }
        self.addresses().map(drop)
    }

    /// Returns the addresses of the nodes.
    pub(in crate::store::redis) fn addresses(&self) -> Result<Vec<ServerAddress>, SettingError> {
        let invalid = || SettingError::new("nodes", NODES_FORM);
        if self.nodes.len() > MAX_NODES {
            return Err(invalid());
        }
        self.nodes.iter().map(|node| parse(node).ok_or_else(invalid)).collect()
    }
}

fn parse(node: &str) -> Option<ServerAddress> {
    let (host, port) = node.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_plain = !bare.is_empty() && !bare.contains(['/', '@', '[', ']']) && (bare == host) != bare.contains(':');
    Some(ServerAddress { host: bare.to_owned(), port: port.parse().ok()? }).filter(|_| is_plain)
}

const MAX_NODES: usize = 64;
const UNUSED: &str = "they would not be used; set mode = \"cluster\" in [store.redis], or leave them out";
const NODES_FORM: &str = "it has to be a list of at most 64 addresses, such as [\"10.0.0.1:6379\", \"10.0.0.2:6379\"]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_host_and_a_port() {
        for node in ["10.0.0.1:6379", "redis-0.example:1", "[::1]:6379"] {
            assert_eq!(parse(node).map(|address| address.to_string()).as_deref(), Some(node));
        }
        for node in ["", "host", "host:", ":1", "host:70000", "redis://host:1", "user@host:1", "::1:6379", "[host:1"] {
            assert_eq!(parse(node), None, "{node}");
        }
    }
}
