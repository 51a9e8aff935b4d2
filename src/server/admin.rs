//! The settings of the listener that serves operators alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::settings::is_loopback;
use super::{Settings, SettingsError, address};

/// The `[admin]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// The TCP address of AdminService, IP and port. Empty: none. Change it if the port is taken.
    ///
    /// Whoever reaches it can list and end every session: beyond loopback only if the server is `insecure`.
    #[serde(with = "address")]
    pub listen: Option<SocketAddr>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50052)) }
    }
}

impl AdminSettings {
    /// Says what is wrong, if anything is, beside a server with these settings.
    pub fn check(&self, server: &Settings) -> Result<(), SettingsError> {
        match self.listen {
            Some(listen) if !server.insecure && !is_loopback(listen) => Err(SettingsError::AdminExposed { listen }),
            _ => Ok(()),
        }
    }

    /// The settings of a server of its own, if there is to be one: those of `server`, on one thread.
    pub(super) fn server(&self, server: &Settings) -> Option<Settings> {
        let listen = Some(self.listen?);
        Some(Settings { listen, unix_socket: None, workers: 1, ..server.clone() })
    }
}
