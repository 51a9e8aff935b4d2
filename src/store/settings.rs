//! Which store the service uses, and how.

use serde::{Deserialize, Serialize};

use crate::types::SettingError;

/// The `[store]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where sessions are kept: `embedded`, `redis` or `memory`.
    pub kind: StoreKind,
    /// The file of the embedded store.
    pub embedded: super::EmbeddedSettings,
    /// The connections to Redis.
    pub redis: super::RedisSettings,
}

impl Settings {
    /// Checks all values, those for other kinds of store too.
    pub fn check(&self) -> Result<(), SettingError> {
        self.redis.check().map_err(|error| error.under("redis"))
    }
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In a file of the service's own, for one process.
    #[default]
    Embedded,
    /// In Redis, which several replicas can share.
    Redis,
    /// In memory. A restart loses them.
    Memory,
}

impl StoreKind {
    /// Returns the name that the settings use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
            Self::Memory => "memory",
        }
    }
}
