//! How Redis is reached.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::span;

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
    #[serde(with = "span")]
    pub timeout: Duration,
    /// How many connections are kept, each shared by many calls. 1 to 64.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            url_file: None,
            key_prefix: "cloakroom".to_owned(),
            timeout: Duration::from_secs(1),
            connections: 2,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("key_prefix", &self.key_prefix).field("timeout", &self.timeout).finish()
    }
}
