//! How Redis is reached.

use std::time::Duration;

use redis::IntoConnectionInfo as _;
use serde::{Deserialize, Serialize};

use crate::types::duration;

/// The `[store.redis]` table.
#[derive(Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `redis://[user:password@]host[:port][/database]` or `redis+unix:///path`.
    pub url: String,
    /// A file that holds the url, instead of `url`, for it may hold a password.
    pub url_file: Option<std::path::PathBuf>,
    /// What every key begins with. Two services on one Redis need two.
    pub key_prefix: String,
    /// How long one operation may take before the call is answered UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How many connections each worker keeps, each shared by many calls. 1 to 64.
    pub connections: usize,
}

impl Settings {
    /// Whether Redis can be reached as they say.
    pub fn check(&self) -> Result<(), SettingsError> {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if self.url.as_str().into_connection_info().is_err() {
            Err(SettingsError::Url)
        } else if self.key_prefix.is_empty() || self.key_prefix.len() > 64 || !self.key_prefix.chars().all(named) {
            Err(SettingsError::KeyPrefix)
        } else if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.timeout) {
            Err(SettingsError::Timeout)
        } else if !(1..=64).contains(&self.connections) {
            Err(SettingsError::Connections)
        } else {
            Ok(())
        }
    }
}

/// What is wrong with the settings, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not repeated, for it may hold a password.
    #[error("url: it has to be redis://[user:password@]host[:port][/database] or redis+unix:///path")]
    Url,
    /// What keys begin with.
    #[error("key_prefix: it has to be 1 to 64 letters, digits and _-.:")]
    KeyPrefix,
    /// An operation's deadline.
    #[error("timeout: it has to be from 10ms to 1m")]
    Timeout,
    /// How many connections.
    #[error("connections: it has to be from 1 to 64")]
    Connections,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            url_file: None,
            key_prefix: "cloakroom".to_owned(),
            timeout: Duration::from_secs(1),
            connections: 1,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("key_prefix", &self.key_prefix).field("timeout", &self.timeout).finish()
    }
}
