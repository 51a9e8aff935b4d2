//! The settings of the Redis store.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use redis::IntoConnectionInfo as _;
use serde::{Deserialize, Serialize};

use crate::types::{SettingError, duration};

/// The `[store.redis]` table.
#[derive(Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `redis://[user:password@]host[:port][/database]` or `redis+unix:///path`.
    pub url: String,
    /// A file that holds the url, instead of `url`, because the url may hold a password.
    pub url_file: Option<PathBuf>,
    /// The beginning of every key: 1 to 64 letters, digits and `_-.:`. Two services on one Redis need different ones.
    pub key_prefix: String,
    /// How long one operation may take before the call fails with UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How many connections each worker keeps; many calls share one. 1 to 64.
    pub connections: usize,
    /// Serve although Redis may evict sessions, or does not say whether it does. `true` or `false`.
    ///
    /// An evicted session is lost, and a revocation that is evicted lets revoked sessions in again. So the service is
    /// NOT_SERVING while Redis has a `maxmemory` and another `maxmemory-policy` than `noeviction`.
    pub allow_eviction: bool,
}

impl Settings {
    /// Checks the values, without connecting.
    pub fn check(&self) -> Result<(), SettingError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let (key, message) = if self.url.as_str().into_connection_info().is_err() {
            // Without the url, because it may hold a password.
            ("url", "it has to be redis://[user:password@]host[:port][/database] or redis+unix:///path")
        } else if !(1..=64).contains(&self.key_prefix.len()) || !self.key_prefix.chars().all(is_allowed) {
            ("key_prefix", "it has to be 1 to 64 letters, digits and _-.:")
        } else if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.timeout) {
            ("timeout", "it has to be from 10ms to 1m")
        } else if !(1..=64).contains(&self.connections) {
            ("connections", "it has to be from 1 to 64")
        } else {
            return Ok(());
        };
        Err(SettingError::new(key, message))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            url_file: None,
            key_prefix: "cloakroom".to_owned(),
            timeout: Duration::from_secs(1),
            connections: 1,
            allow_eviction: false,
        }
    }
}

impl fmt::Debug for Settings {
    /// Leaves out the url, because it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("key_prefix", &self.key_prefix).field("timeout", &self.timeout).finish()
    }
}
