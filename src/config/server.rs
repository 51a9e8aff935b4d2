//! PLACEHOLDER for the `[server]` table, until the settings of the server itself stand in its place.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The `[server]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Where gRPC is served over TCP.
    pub listen: SocketAddr,
    /// Where it is served over a Unix socket as well.
    pub unix_socket: Option<PathBuf>,
    /// Serve beyond this machine without certificates or tokens.
    pub insecure: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 50051)), unix_socket: None, insecure: false }
    }
}
