//! Samples of the sessions in Redis: a position is a cursor of SCAN with its bits reversed.
//!
//! SCAN visits the buckets of Redis' hash table so that the reversed cursor counts up from 0 to 2^64, whatever the size
//! of the table. The cursor thus says which part of all keys has been visited. The hash function of Redis decides the
//! bucket of a key, and its seed is random.

use std::collections::{BTreeSet, HashMap};

use redis::{FromRedisValue, ParsingError, Pipeline, Value};

use super::reply::head;
use super::{Redis, escape};
use crate::session::{Entries, Generation, Record};
use crate::store::encoding::HEAD_FIELDS;
use crate::store::{Error, Position, Sample, SampledKeys, SessionKey, Snapshot};
use crate::token::SessionId;
use crate::types::AppName;

impl Sample for Redis {
    async fn sample_keys(&self, apps: &BTreeSet<AppName>, from: Position, limit: usize) -> Result<SampledKeys, Error> {
        let mut command = redis::cmd("SCAN");
        let pattern = format!("{}:{{??}}:*:????????????????????????????????", escape(&self.prefix));
        command.arg(from.0.reverse_bits()).arg("MATCH").arg(pattern).arg("COUNT").arg(limit.max(10));
        let (cursor, mut keys): (u64, Vec<String>) = self.connections.query(&command).await?;
        keys.sort_unstable();
        keys.dedup();
        let next = (cursor != 0).then(|| Position(cursor.reverse_bits()));
        if next.is_some_and(|next| next <= from) {
            return Err(Error::unavailable(CURSORS));
        }
        let session_keys = keys.iter().filter_map(|key| self.decode_key(key, apps)).collect();
        Ok(SampledKeys { session_keys, next, ..SampledKeys::default() })
    }

    async fn sample_heads(&self, session_keys: &[SessionKey]) -> Result<Vec<Option<Snapshot>>, Error> {
        if session_keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = Pipeline::with_capacity(session_keys.len() + 1);
        for session_key in session_keys {
            pipe.cmd("HMGET").arg(self.record_key(session_key));
            HEAD_FIELDS.iter().for_each(|field| _ = pipe.arg(&[*field]));
        }
        // After the records: a generation may be newer than they are, but not older.
        let mut generations = HashMap::with_capacity(session_keys.len());
        pipe.cmd("MGET");
        for session_key in session_keys {
            let (partition, number) = (session_key.id.partition(), generations.len());
            generations.entry((&session_key.app, partition)).or_insert_with(|| {
                pipe.arg(self.generation_key(&session_key.app, partition));
                number
            });
        }
        let HeadsReply(heads, newest) = self.connections.pipeline(pipe).await?;
        let snapshot = |(session_key, record): (&SessionKey, Option<Record>)| {
            let number = *generations.get(&(&session_key.app, session_key.id.partition()))?;
            Some(Snapshot { record: record?, generation: *newest.get(number)? })
        };
        Ok(session_keys.iter().zip(heads).map(snapshot).collect())
    }
}

impl Redis {
    /// Reads the key of a session of one of these apps.
    fn decode_key(&self, key: &str, apps: &BTreeSet<AppName>) -> Option<SessionKey> {
        let (app, id) = key.strip_prefix(&self.prefix)?.get(":{00}:".len()..)?.rsplit_once(':')?;
        Some(SessionKey { app: apps.get(app)?.clone(), id: SessionId::parse(id)? })
    }
}

/// The reply to HMGET of [`HEAD_FIELDS`] for each session, and to MGET of generations.
struct HeadsReply(Vec<Option<Record>>, Vec<Generation>);

impl FromRedisValue for HeadsReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut replies: Vec<Value> = FromRedisValue::from_redis_value(value)?;
        let generations = replies.pop().ok_or_else(|| ParsingError::from("a reply is missing"))?;
        let generations: Vec<Option<u32>> = FromRedisValue::from_redis_value(generations)?;
        let generations = generations.into_iter().map(|number| Generation(number.unwrap_or_default())).collect();
        // A record that has expired since the SCAN has no fields, and is no head either.
        let record = |fields: Value| Some(Record { head: head(fields).ok()?, entries: Entries::default() });
        Ok(Self(replies.into_iter().map(record).collect(), generations))
    }
}

const CURSORS: &str = "the cursors of SCAN do not go on as those of Redis do, so the sessions cannot be counted";
