//! The Redis of a migration source.

use std::time::Duration;

use crate::types::Secret;

/// The Redis that a migration source reads its records from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyRedis {
    /// The address. It may hold a password.
    pub url: Secret,
    /// How each key begins; the id of the session follows.
    pub key_prefix: Box<str>,
    /// The longest that one read may take.
    pub timeout: Duration,
}
