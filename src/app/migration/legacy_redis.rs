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

/// Returns how to connect to the Redis of a migration source, by the fields that the tables of all sources have for it.
/// `None`: no url is set.
macro_rules! legacy_redis_access {
    ($settings:expr) => {
        $settings.url.clone().map(|url| $crate::app::migration::LegacyRedisAccess {
            url,
            url_file: $settings.url_file.clone(),
            username: $settings.username.clone(),
            password_file: $settings.password_file.clone(),
            ca_file: $settings.ca_file.clone(),
            certificate_file: $settings.certificate_file.clone(),
            key_file: $settings.key_file.clone(),
            timeout: $settings.timeout,
        })
    };
}
pub(super) use legacy_redis_access;
