//! The settings of the listener for operators.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::settings::{half_of_connections, is_loopback};
use super::{Protocols, Settings, TlsSettings};
use crate::auth::Callers;
use crate::types::{SettingError, listen_address};

/// The `[admin]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// The TCP address of AdminService and of the pages for operators, IP and port. Empty: none.
    ///
    /// Beyond loopback only with callers, or if the server is `insecure`: a program that may call it can list and end
    /// sessions.
    #[serde(with = "listen_address")]
    pub listen: Option<SocketAddr>,
    /// Serve the console on that address: a page for operators.
    pub console: bool,
    /// TLS on that address. The settings of `[server.tls]` do not apply here.
    pub tls: TlsSettings,
}

impl Default for AdminSettings {
    fn default() -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50052);
        Self { listen: Some(listen), console: true, tls: TlsSettings::default() }
    }
}

impl AdminSettings {
    /// Checks the values beside a server with these settings and for these callers.
    pub fn check(&self, server: &Settings, callers: &Callers) -> Result<(), SettingError> {
        let fixed = |listen: &SocketAddr| listen.port() != 0;
        if self.listen.filter(fixed).is_some_and(|listen| server.listen == Some(listen)) {
            return Err(SettingError::new("listen", SAME_ADDRESS));
        }
        self.check_exposure(server, callers)?;
        self.tls.check(callers)
    }

    /// Checks that it listens beyond loopback only if callers are configured or the server is `insecure`.
    pub fn check_exposure(&self, server: &Settings, callers: &Callers) -> Result<(), SettingError> {
        let allows_everyone = callers.is_empty() && !server.insecure;
        match self.listen {
            Some(listen) if allows_everyone && !is_loopback(listen) => {
                Err(SettingError::new("listen", format!("{listen} {EXPOSED}")))
            }
            _ => Ok(()),
        }
    }

    /// Returns the settings of its server: those of `server`, on one thread and with few connections. `None`: it does
    /// not listen.
    pub(super) fn server(&self, server: &Settings) -> Option<Settings> {
        let max_connections = server.max_connections.min(MAX_CONNECTIONS);
        Some(Settings {
            listen: Some(self.listen?),
            unix_socket: None,
            workers: 1,
            max_connections,
            // One address leaves room for the others, whatever it may take of the other listener.
            max_connections_per_peer: server.max_connections_per_peer.min(half_of_connections(max_connections)),
            tls: self.tls.clone(),
            // The subcommands of operators call by gRPC, and the console by Connect.
            protocols: Protocols { grpc: true, connect: server.protocols.connect || self.console },
            ..server.clone()
        })
    }
}

/// Enough for operators, monitors and probes.
pub(super) const MAX_CONNECTIONS: usize = 128;

const SAME_ADDRESS: &str = "it is the address of server.listen; set another port for operators, such as 50052";

const EXPOSED: &str = "is open to other machines, and a program that reaches it can end every session; say in [callers] \
                       who may, listen on 127.0.0.1, or set insecure = true in [server] if the whole network is yours";
