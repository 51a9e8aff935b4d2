//! The settings of the Redis store.

pub(super) mod cluster;
pub(super) mod sentinel;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::cluster::ClusterSettings;
use self::sentinel::SentinelSettings;
use super::acknowledge::Acknowledge;
use super::partitions::PartitionCount;
use crate::app::LegacyRedisAccess;
use crate::types::duration;

/// The `[store.redis]` table.
#[derive(Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How Redis is found: `standalone`, at the url, `sentinel`, by asking the Sentinels, or `cluster`, by asking nodes.
    pub mode: Mode,
    /// `redis://[user:password@]host[:port][/database]`, the same with `rediss://` for TLS, or `redis+unix:///path`.
    ///
    /// In the mode `sentinel` its host and port do not count, for the Sentinels name them. In the mode `cluster` they are
    /// those of any node, and there is no database.
    pub url: String,
    /// A file that holds the url, instead of `url`, because the url may hold a password. Read again when it changes.
    pub url_file: Option<PathBuf>,
    /// The user, instead of one in the url. Needs `password_file`.
    pub username: Option<String>,
    /// A file that holds the password, instead of one in the url. Read again when it changes.
    pub password_file: Option<PathBuf>,
    /// The authorities that may have signed the certificate of Redis, in PEM. Read again when it changes.
    ///
    /// Not set: the public ones. With `rediss://` the certificate and the name in it are always checked.
    pub ca_file: Option<PathBuf>,
    /// The client certificate, followed by its chain, in PEM, if Redis asks for one. Read again when it changes.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the client certificate.
    pub key_file: Option<PathBuf>,
    /// The beginning of every key: 1 to 64 letters, digits and `_-.:`. Two services on one Redis need different ones.
    pub key_prefix: String,
    /// How long one operation may take before the call fails with UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// The servers that must have a write to acknowledge it: `primary`, `replicas:1` to `replicas:9`, or `fsync`.
    ///
    /// `primary`: a write that was acknowledged is lost if the primary fails before it has sent it to a replica.
    /// `replicas:N`: that many replicas have it as well. `fsync`: it is in the append-only file, on the disk of the
    /// primary; that takes Redis or Valkey 7.2. What is not acknowledged within `timeout` fails with UNAVAILABLE.
    pub acknowledge: Acknowledge,
    /// The same for what ends sessions: destroys, revocations, logouts. Not set: as `acknowledge`.
    pub acknowledge_endings: Option<Acknowledge>,
    /// How many connections each worker keeps; many calls share one. 1 to 64.
    pub connections: usize,
    /// Serve although Redis may evict sessions, or does not say whether it does. `true` or `false`.
    ///
    /// An evicted session is lost, and a revocation that is evicted lets revoked sessions in again. So the service is
    /// NOT_SERVING while Redis has a `maxmemory` and another `maxmemory-policy` than `noeviction`.
    pub allow_eviction: bool,
    /// How many partitions each app has: 64 or 1024. Not set: 64, and 1024 in the mode `cluster`.
    ///
    /// It can never change for a `key_prefix` that has sessions, and the service refuses to start with another number.
    pub partitions: Option<PartitionCount>,
    /// The Sentinels.
    pub sentinel: SentinelSettings,
    /// The nodes of a cluster.
    pub cluster: ClusterSettings,
}

/// How Redis is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A single primary, at the url.
    #[default]
    Standalone,
    /// A single primary, whose address the Sentinels know.
    Sentinel,
    /// The nodes of a Redis Cluster know which of them has a session.
    Cluster,
}

impl Settings {
    /// Whether all connections are encrypted, those to Sentinels too.
    pub fn is_encrypted(&self) -> bool {
        [&self.url].into_iter().chain(&self.sentinel.urls).all(|url| url.starts_with("rediss:"))
    }

    /// Returns the acknowledgement of writes that end sessions.
    pub(in crate::store::redis) fn for_endings(&self) -> Acknowledge {
        self.acknowledge_endings.unwrap_or(self.acknowledge)
    }

    /// Whether some writes are acknowledged later than the primary has them.
    pub(in crate::store::redis) fn acknowledges_later(&self) -> bool {
        self.for_endings() != Acknowledge::Primary
    }

    /// How many partitions each app has.
    pub(in crate::store::redis) fn partition_count(&self) -> PartitionCount {
        self.partitions.unwrap_or(match self.mode {
            Mode::Standalone | Mode::Sentinel => PartitionCount::P64,
            Mode::Cluster => PartitionCount::P1024,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            url: "redis://127.0.0.1:6379".to_owned(),
            url_file: None,
            username: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_prefix: "cloakroom".to_owned(),
            timeout: Duration::from_secs(1),
            connections: 1,
            acknowledge: Acknowledge::default(),
            acknowledge_endings: None,
            allow_eviction: false,
            partitions: None,
            sentinel: SentinelSettings::default(),
            cluster: ClusterSettings::default(),
        }
    }
}

impl From<&LegacyRedisAccess> for Settings {
    fn from(redis: &LegacyRedisAccess) -> Self {
        let LegacyRedisAccess { url, url_file, username, password_file, ca_file, certificate_file, key_file, timeout } =
            redis.clone();
        let url = url.expose().to_owned();
        Self { url, url_file, username, password_file, ca_file, certificate_file, key_file, timeout, ..Self::default() }
    }
}

impl fmt::Debug for Settings {
    /// Leaves out the url, because it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("key_prefix", &self.key_prefix).field("timeout", &self.timeout).finish()
    }
}
