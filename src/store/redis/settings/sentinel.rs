//! The settings of the mode `sentinel`: where the Sentinels are, and how to log in there.

use std::path::PathBuf;

use redis::ConnectionAddr;
use serde::{Deserialize, Serialize};

use crate::store::redis::connection::endpoint;
use crate::store::redis::{Mode, Settings};
use crate::types::SettingError;

/// The `[store.redis.sentinel]` table. Its settings are for the Sentinels, those of `[store.redis]` for Redis itself.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SentinelSettings {
    /// The url of each Sentinel: `redis://host:port`, or `rediss://host:port` for TLS. 1 to 16.
    pub urls: Vec<String>,
    /// The name that the Sentinels know the primary by, such as `mymaster`.
    pub service_name: String,
    /// The user. Needs `password_file`.
    pub username: Option<String>,
    /// A file that holds the password. Read again when it changes.
    pub password_file: Option<PathBuf>,
    /// The authorities that may have signed the certificates of the Sentinels, as in `[store.redis]`.
    pub ca_file: Option<PathBuf>,
    /// The client certificate, as in `[store.redis]`.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the client certificate.
    pub key_file: Option<PathBuf>,
}

impl SentinelSettings {
    /// Returns the settings of a connection to each Sentinel.
    pub(in crate::store::redis) fn connections(&self, store: &Settings) -> Vec<Settings> {
        let Self { urls, username, password_file, ca_file, certificate_file, key_file, .. } = self.clone();
        let common = Settings {
            username,
            password_file,
            ca_file,
            certificate_file,
            key_file,
            // So that one that does not answer leaves time for the others and for Redis.
            timeout: store.timeout / 4,
            ..Settings::default()
        };
        urls.into_iter().map(|url| Settings { url, ..common.clone() }).collect()
    }

    /// Checks the values for this mode.
    pub(in crate::store::redis) fn check(&self, store: &Settings) -> Result<(), SettingError> {
        if store.mode != Mode::Sentinel {
            return if self.urls.is_empty() { Ok(()) } else { Err(SettingError::new("urls", UNUSED)) };
        }
        if !(1..=MAX_SENTINELS).contains(&self.urls.len()) {
            return Err(SettingError::new("urls", NO_URLS));
        }
        if self.service_name.is_empty() {
            return Err(SettingError::new("service_name", NO_NAME));
        }
        for settings in self.connections(store) {
            let info = endpoint::check_settings(&settings).map_err(|error| match error.key.names() {
                [key] if key == "url" => SettingError::new("urls", URL_FORM),
                _ => error,
            })?;
            let login = info.redis_settings();
            if login.username().is_some() || login.password().is_some() || login.db() != 0 {
                return Err(SettingError::new("urls", LOGIN));
            }
            match info.addr() {
                ConnectionAddr::Tcp(_, port) if *port != REDIS_PORT => {}
                _ => return Err(SettingError::new("urls", NO_PORT)),
            }
        }
        Ok(())
    }
}

/// The port that a url without one means, which is no port of a Sentinel.
const REDIS_PORT: u16 = 6379;

const MAX_SENTINELS: usize = 16;
const UNUSED: &str = "they would not be used; set mode = \"sentinel\" in [store.redis], or leave them out";
const NO_URLS: &str =
    "with mode = \"sentinel\" it has to be a list of 1 to 16 urls, such as [\"redis://10.0.0.1:26379\"]";
const NO_NAME: &str = "it has to be the name that the Sentinels know the primary by, such as \"mymaster\"";
const URL_FORM: &str = "each has to be redis://host:port, or rediss://host:port for TLS";
const LOGIN: &str = "user and password are in username and password_file here, and a Sentinel has no databases";
const NO_PORT: &str = "each has to name the port of the Sentinel, which is usually 26379";
