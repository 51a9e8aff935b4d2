//! Flask-Session's records in its own Redis: read one by one, and left as they are.
//!
//! No keeping of Cloakroom's sessions. A server that does not answer is an error, never an empty session.

use std::error::Error as StdError;
use std::time::Duration;

use redis::RedisError;

use super::Error;
use super::redis::{Connections, Settings};
use crate::app::FlaskSession;
use crate::flask::flask_session::Sid;

/// The records of one application.
#[derive(Debug)]
pub struct FlaskSessions {
    connections: Connections,
    key_prefix: Box<str>,
}

/// A record as it lies there.
#[derive(Clone, PartialEq, Eq)]
pub enum FlaskRecord {
    /// There is none.
    Missing,
    /// It is over [`MAX_RECORD_BYTES`].
    TooLarge,
    /// Its bytes, and how long it is kept if nobody touches it.
    Record(Vec<u8>, Option<Duration>),
}

impl std::fmt::Debug for FlaskRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing",
            Self::TooLarge => "TooLarge",
            Self::Record(..) => "Record(..)",
        })
    }
}

impl FlaskSessions {
    /// The records behind a door, which are looked at when the first session comes in.
    pub fn new(door: &FlaskSession) -> Result<Self, RedisError> {
        let connections = Connections::new(&Settings {
            url: door.url.expose().to_owned(),
            timeout: door.timeout,
            connections: 1,
            ..Settings::default()
        })?;
        Ok(Self { connections, key_prefix: door.key_prefix.clone() })
    }

    /// The record of a session.
    pub async fn find(&self, sid: Sid<'_>) -> Result<FlaskRecord, Error> {
        let key = format!("{}{}", self.key_prefix, sid.as_str());
        let mut pipe = redis::pipe();
        // One byte more than is read, so that what is cut is told from what is whole.
        pipe.cmd("GETRANGE").arg(&key).arg(0).arg(MAX_RECORD_BYTES).pttl(&key);
        let (record, left): (Vec<u8>, i64) = self.connections.pipeline(pipe).await.map_err(name_the_flask_redis)?;
        Ok(match record.len() {
            0 => FlaskRecord::Missing,
            length if length > MAX_RECORD_BYTES => FlaskRecord::TooLarge,
            _ => FlaskRecord::Record(record, u64::try_from(left).ok().map(Duration::from_millis)),
        })
    }
}

/// Whoever reads the log has to look at the right Redis.
#[derive(Debug, thiserror::Error)]
#[error("the Redis of Flask-Session: {0}")]
struct FlaskRedisError(Box<dyn StdError + Send + Sync>);

fn name_the_flask_redis(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::unavailable(FlaskRedisError(source)),
        Error::Full(_) | Error::Corrupt => error,
    }
}

/// The largest record that is read: as large as a session of any app may be.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;
