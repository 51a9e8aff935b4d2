//! Reads the records of a migration source from its own Redis, one by one. Never writes there.
//!
//! This is not a store of Cloakroom's sessions; it is in this module because it uses the same connections to Redis. A
//! Redis that does not answer is an error, never an empty session.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::redis::{Connections, ServerRole, Settings};
use crate::app::{LegacyRedis, MigrationSource};
use crate::types::SettingError;

/// Reads the records of one migration source. Clones share the connections.
#[derive(Clone, Debug)]
pub struct LegacyReader {
    source: MigrationSource,
    connections: Arc<Connections>,
    key_prefix: Box<str>,
}

/// A record as the other session library stored it.
#[derive(Clone, PartialEq, Eq)]
pub enum LegacyRecord {
    Missing,
    /// It has more than 1 MiB.
    TooLarge,
    /// Something else than a string is stored there.
    NotAString,
    /// The bytes, and the time until Redis expires them; `None` if it never does.
    Record(Vec<u8>, Option<Duration>),
}

impl std::fmt::Debug for LegacyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing",
            Self::TooLarge => "TooLarge",
            Self::NotAString => "NotAString",
            Self::Record(..) => "Record(..)",
        })
    }
}

impl LegacyReader {
    /// Makes a reader that connects, and reads the files of its settings, when it reads the first record.
    pub fn new(source: MigrationSource, redis: &LegacyRedis) -> Result<Self, SettingError> {
        let settings = Settings { connections: 1, ..Settings::from(&redis.access) };
        let connections = Arc::new(Connections::new(&settings, ServerRole::PrimaryOrReplica)?);
        Ok(Self { source, connections, key_prefix: redis.key_prefix.clone() })
    }

    /// Makes a reader of other records in the same Redis, which shares the connections.
    pub fn for_source(&self, source: MigrationSource, key_prefix: &str) -> Self {
        Self { source, connections: Arc::clone(&self.connections), key_prefix: key_prefix.into() }
    }

    /// Checks that records can be read, with a key that no record has.
    pub async fn check(&self) -> Result<(), Error> {
        self.read("cloakroom-check").await.map(drop)
    }

    /// Reads the record of the session with this id.
    pub async fn read(&self, id: &str) -> Result<LegacyRecord, Error> {
        let key = format!("{}{id}", self.key_prefix);
        let mut pipe = redis::pipe();
        // One byte more than the limit, so that a larger record is noticed. GETRANGE's end is inclusive.
        pipe.cmd("GETRANGE").arg(&key).arg(0).arg(MAX_RECORD_BYTES).pttl(&key);
        let (record, ttl): (Vec<u8>, i64) = match self.connections.pipeline(pipe).await {
            Err(Error::Corrupt) => return Ok(LegacyRecord::NotAString),
            result => result.map_err(|error| self.name_redis(error))?,
        };
        Ok(match record.len() {
            0 => LegacyRecord::Missing,
            length if length > MAX_RECORD_BYTES => LegacyRecord::TooLarge,
            _ => LegacyRecord::Record(record, u64::try_from(ttl).ok().map(Duration::from_millis)),
        })
    }

    fn name_redis(&self, error: Error) -> Error {
        let named = |cause| LegacyRedisError { source_name: self.source, cause };
        match error {
            Error::Unavailable(cause) => Error::unavailable(named(cause)),
            Error::Refused(cause) => Error::Refused(Box::new(named(cause))),
            Error::Full(_) | Error::RevokedInPart { .. } | Error::NotAcknowledged { .. } | Error::Corrupt => error,
        }
    }
}

/// Says in the log which Redis did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the Redis of the migration source {source_name}: {cause}")]
struct LegacyRedisError {
    source_name: MigrationSource,
    cause: Box<dyn StdError + Send + Sync>,
}

/// The largest record that is read, as large as a session of any app may be.
const MAX_RECORD_BYTES: usize = 1024 * 1024;
