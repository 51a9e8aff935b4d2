//! The settings of the mode `sentinel`: where the Sentinels are, and how to log in there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::store::redis::Settings;

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
}
