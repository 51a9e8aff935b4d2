//! The settings of the listener that serves operators alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::settings::is_loopback;
use super::{Settings, SettingsError, TlsSettings};
use crate::auth::Callers;
use crate::types::listen_address;

/// The `[admin]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// The TCP address of AdminService, IP and port. Empty: none. Change it if the port is taken.
    ///
    /// Beyond loopback only if callers are known, or if the server is `insecure`: whoever may call it ends sessions.
    #[serde(with = "listen_address")]
    pub listen: Option<SocketAddr>,
    /// Encryption of that address. It is not that of the server.
    pub tls: TlsSettings,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50052)), tls: TlsSettings::default() }
    }
}

impl AdminSettings {
    /// Says what is wrong, if anything is, beside a server with these settings and for these callers.
    pub fn check(&self, server: &Settings, callers: &Callers) -> Result<(), SettingsError> {
        self.check_exposure(server, callers)?;
        self.tls.check(callers)
    }

    /// Whether it listens for strangers while it asks nobody who it is.
    pub fn check_exposure(&self, server: &Settings, callers: &Callers) -> Result<(), SettingsError> {
        let lets_all_in = callers.is_empty() && !server.insecure;
        match self.listen {
            Some(listen) if lets_all_in && !is_loopback(listen) => Err(SettingsError::AdminExposed { listen }),
            _ => Ok(()),
        }
    }

    /// The settings of a server of its own, if there is to be one: those of `server`, on one thread.
    pub(super) fn server(&self, server: &Settings) -> Option<Settings> {
        let listen = Some(self.listen?);
        Some(Settings { listen, unix_socket: None, workers: 1, tls: self.tls.clone(), ..server.clone() })
    }
}
