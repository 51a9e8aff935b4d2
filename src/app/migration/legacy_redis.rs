//! The Redis of a migration source.

use std::path::PathBuf;
use std::time::Duration;

use crate::types::Secret;

/// The Redis that a migration source reads its records from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyRedis {
    /// How to connect.
    pub access: LegacyRedisAccess,
    /// How each key begins; the id of the session follows.
    pub key_prefix: Box<str>,
}

/// How to connect to the Redis of a migration source. Sources that are equal in this share connections.
///
/// The fields are those of `[store.redis]`, by whose rules they are checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LegacyRedisAccess {
    /// The address. It may hold a password.
    pub url: Secret,
    /// Where the address is from. Read again when it changes.
    pub url_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// The longest that one read may take.
    pub timeout: Duration,
}
