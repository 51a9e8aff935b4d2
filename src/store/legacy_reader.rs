//! Reads the sessions of Flask-Session from its own Redis, one by one. Never writes there.
//!
//! This is not a store of Cloakroom's sessions; it is in this module because it uses the same connections to Redis. A
//! Redis that does not answer is an error, never an empty session.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;

use super::Error;
use super::redis::{Connections, Server, Settings};
use crate::app::FlaskSession;
use crate::flask::flask_session::Sid;

/// Reads the records of one Flask application. Clones share the connections.
#[derive(Clone, Debug)]
pub struct FlaskSessionReader {
    connections: Arc<Connections>,
    key_prefix: Box<str>,
}

/// A record as Flask-Session stored it.
#[derive(Clone, PartialEq, Eq)]
pub enum FlaskRecord {
    Missing,
    /// It has more than 1 MiB.
    TooLarge,
    /// Something else than a string is stored there.
    NotAString,
    /// The bytes, and the time until Redis expires them; `None` if it never does.
    Record(Vec<u8>, Option<Duration>),
}

impl std::fmt::Debug for FlaskRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing",
            Self::TooLarge => "TooLarge",
            Self::NotAString => "NotAString",
            Self::Record(..) => "Record(..)",
        })
    }
}

impl FlaskSessionReader {
    /// Makes a reader that connects when it reads the first record.
    pub fn new(source: &FlaskSession) -> Result<Self, RedisError> {
        let url = source.url.expose().to_owned();
        let settings = Settings { url, timeout: source.timeout, connections: 1, ..Settings::default() };
        let connections = Arc::new(Connections::new(&settings, Server::PrimaryOrReplica)?);
        Ok(Self { connections, key_prefix: source.key_prefix.clone() })
    }

    /// Makes a reader of other records in the same Redis, which shares the connections.
    pub fn with_key_prefix(&self, key_prefix: &str) -> Self {
        Self { connections: Arc::clone(&self.connections), key_prefix: key_prefix.into() }
    }

    /// Reads the record of a session.
    pub async fn read(&self, sid: Sid<'_>) -> Result<FlaskRecord, Error> {
        let key = format!("{}{}", self.key_prefix, sid.as_str());
        let mut pipe = redis::pipe();
        // One byte more than the limit, so that a larger record is noticed. GETRANGE's end is inclusive.
        pipe.cmd("GETRANGE").arg(&key).arg(0).arg(MAX_RECORD_BYTES).pttl(&key);
        let (record, ttl): (Vec<u8>, i64) = match self.connections.pipeline(pipe).await {
            Err(Error::Corrupt) => return Ok(FlaskRecord::NotAString),
            result => result.map_err(name_flask_redis)?,
        };
        Ok(match record.len() {
            0 => FlaskRecord::Missing,
            length if length > MAX_RECORD_BYTES => FlaskRecord::TooLarge,
            _ => FlaskRecord::Record(record, u64::try_from(ttl).ok().map(Duration::from_millis)),
        })
    }
}

/// Says in the log which of the two Redis did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the Redis of Flask-Session: {0}")]
struct FlaskRedisError(Box<dyn StdError + Send + Sync>);

fn name_flask_redis(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::unavailable(FlaskRedisError(source)),
        Error::Refused(source) => Error::Refused(Box::new(FlaskRedisError(source))),
        Error::Full(_) | Error::Corrupt => error,
    }
}

/// The largest record that is read, as large as a session of any app may be.
const MAX_RECORD_BYTES: usize = 1024 * 1024;
