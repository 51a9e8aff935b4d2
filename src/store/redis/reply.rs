//! Reads the replies of Redis into domain types.

use redis::{FromRedisValue, ParsingError, Value};

use super::ENTRY_PREFIX;
use crate::session::{Counters, Done, EditError, Entries, Generation, Head, Record, Subject, WriteEffect};
use crate::store::Snapshot;
use crate::store::encoding::{EncodedHead, HEAD_FIELDS, META_BYTES, decode_public_view};

/// The reply of `set_entries.lua`, `edit.lua` and `end.lua`.
pub(super) enum Reply {
    /// The fast path does not apply: the judge has to decide.
    Undecided {
        head: Box<Head>,
        generation: Generation,
    },
    Done(Box<Done>),
    /// There is no record.
    Missing,
    Refused(EditError),
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let invalid = || ParsingError::from("a script's reply is malformed");
        let reply = match value {
            Value::Array(reply) => reply,
            Value::BulkString(bytes) => {
                let head = public_view(&bytes, &[])?;
                let subject_before = head.subject.clone();
                let counters = Counters::new();
                return Ok(Self::Done(Box::new(Done { head, effect: WriteEffect::Updated, counters, subject_before })));
            }
            _ => return Err(invalid()),
        };
        let mut reply = reply.into_iter();
        let mut next = || reply.next().ok_or_else(invalid);
        match u8::from_redis_value(next()?)? {
            0 => {
                let generation = Generation(FromRedisValue::from_redis_value(next()?)?);
                Ok(Self::Undecided { head: Box::new(head(next()?)?), generation })
            }
            1 => {
                let (view, end): (Vec<u8>, Vec<u8>) =
                    (FromRedisValue::from_redis_value(next()?)?, FromRedisValue::from_redis_value(next()?)?);
                let head = public_view(&view, &end)?;
                let effect = if head.end.is_some() { WriteEffect::Deleted } else { WriteEffect::Updated };
                let subject_before = Subject::parse(&String::from_redis_value(next()?)?).ok();
                let counters = Vec::<(String, i64)>::from_redis_value(next()?)?.into_iter().collect();
                Ok(Self::Done(Box::new(Done { head, effect, counters, subject_before })))
            }
            2 => Ok(Self::Missing),
            3 => Ok(Self::Refused(EditError::NotACounter { name: FromRedisValue::from_redis_value(next()?)? })),
            4 => Ok(Self::Refused(EditError::TooManyEntries { count: FromRedisValue::from_redis_value(next()?)? })),
            5 => Ok(Self::Refused(EditError::TooLarge { bytes: FromRedisValue::from_redis_value(next()?)? })),
            6 => Ok(Self::Refused(EditError::NoSubject)),
            _ => Err(invalid()),
        }
    }
}

/// Reads the head from the values of [`HEAD_FIELDS`].
pub(super) fn head(value: Value) -> Result<Head, ParsingError> {
    let fields: Vec<Option<Vec<u8>>> = FromRedisValue::from_redis_value(value)?;
    let mut head = EncodedHead::default();
    for (part, value) in head.0.iter_mut().zip(fields) {
        *part = value.unwrap_or_default();
    }
    head.decode().ok_or_else(not_a_session)
}

/// Reads the head from the values of the fields m, u and s in one piece, and of x.
fn public_view(bytes: &[u8], end: &[u8]) -> Result<Head, ParsingError> {
    let (meta, rest) = bytes.split_at_checked(META_BYTES).ok_or_else(not_a_session)?;
    let (access_time, subject) = rest.split_at_checked(size_of::<u64>()).ok_or_else(not_a_session)?;
    decode_public_view(meta, access_time, subject, end).ok_or_else(not_a_session)
}

/// The reply to HGETALL of a session's hash and GET of its app's generation.
pub(super) struct SnapshotReply(pub(super) Option<Snapshot>);

impl FromRedisValue for SnapshotReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (fields, generation): (Value, Option<u32>) = FromRedisValue::from_redis_value(value)?;
        let mut fields = fields.into_map_iter().map_err(|_| not_a_session())?.peekable();
        if fields.peek().is_none() {
            return Ok(Self(None));
        }
        let record = record(fields).ok_or_else(not_a_session)?;
        Ok(Self(Some(Snapshot { record, generation: Generation(generation.unwrap_or_default()) })))
    }
}

/// Reads the record from the names and values of all fields.
fn record(fields: impl Iterator<Item = (Value, Value)>) -> Option<Record> {
    let mut head = EncodedHead::default();
    let mut entries = Vec::with_capacity(fields.size_hint().0);
    for field in fields {
        let (Value::BulkString(field), Value::BulkString(value)) = field else { return None };
        if field.starts_with(ENTRY_PREFIX.as_bytes()) {
            entries.push((String::from_utf8(field).ok()?, value));
        } else {
            let part = HEAD_FIELDS.iter().position(|name| field == [*name])?;
            head.0[part] = value;
        }
    }
    let head = head.decode()?;
    // HGETALL returns the fields in no particular order.
    entries.sort_unstable();
    let entries = entries.iter().map(|(field, value)| (&field[ENTRY_PREFIX.len()..], value.as_slice()));
    Some(Record { head, entries: Entries::pack(entries) })
}

fn not_a_session() -> ParsingError {
    ParsingError::from("Redis keeps something there that is no session")
}
