//! Which store, and how it is reached.

use serde::{Deserialize, Serialize};

/// The `[store]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where sessions lie: `embedded`, `redis` or `memory`.
    pub kind: StoreKind,
    /// Where the file lies.
    pub embedded: super::EmbeddedSettings,
    /// How Redis is reached.
    pub redis: super::RedisSettings,
}

/// Where sessions lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In a file of the service's own.
    #[default]
    Embedded,
    /// In Redis, which several replicas can share.
    Redis,
    /// In memory: a restart loses them.
    Memory,
}
