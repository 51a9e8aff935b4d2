//! What the scripts answer, read into domain types.

use redis::{FromRedisValue, ParsingError, Value};

use super::ENTRY;
use crate::session::{Counters, EditError, Entries, Generation, Head, Record, Subject, WriteEffect};
use crate::store::encoding::{EncodedHead, META_BYTES};
use crate::store::{Done, Snapshot};

/// The answer of `set.lua`, `edit.lua` and `end.lua`.
pub(super) enum Reply {
    /// The fast path does not apply: the judge has to decide.
    Undecided { head: Box<Head>, generation: Generation },
    /// It is written.
    Done(Box<Done>),
    /// Nothing is kept there.
    Missing,
    /// The session can't be made to be so.
    Refused(EditError),
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let strange = || ParsingError::from("a script answers what it never should");
        let answer = match value {
            Value::Array(answer) => answer,
            Value::BulkString(bytes) => {
                let head = public_head(&bytes, Vec::new())?;
                let subject_before = head.subject.clone();
                let counters = Counters::new();
                return Ok(Self::Done(Box::new(Done { head, effect: WriteEffect::Updated, counters, subject_before })));
            }
            _ => return Err(strange()),
        };
        let mut answer = answer.into_iter();
        let mut next = || answer.next().ok_or_else(strange);
        match u8::from_redis_value(next()?)? {
            0 => {
                let generation = Generation(FromRedisValue::from_redis_value(next()?)?);
                Ok(Self::Undecided { head: Box::new(head(next()?)?), generation })
            }
            1 => {
                let head =
                    public_head(&Vec::<u8>::from_redis_value(next()?)?, FromRedisValue::from_redis_value(next()?)?)?;
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
            _ => Err(strange()),
        }
    }
}

/// The head from the values of the fields m, u, s, p, k, c, x and o.
fn head(value: Value) -> Result<Head, ParsingError> {
    let fields: Vec<Option<Vec<u8>>> = FromRedisValue::from_redis_value(value)?;
    let mut fields = fields.into_iter().map(Option::unwrap_or_default);
    let mut next = || fields.next().unwrap_or_default();
    let packed = EncodedHead {
        meta: next(),
        used: next(),
        subject: next(),
        previous: next(),
        idempotency: next(),
        context: next(),
        end: next(),
        imported_from: next(),
    };
    packed.unpack().ok_or_else(no_session)
}

/// What is told of the head, from the values of the fields m, u and s in one piece, and of x.
fn public_head(bytes: &[u8], end: Vec<u8>) -> Result<Head, ParsingError> {
    let (meta, rest) = bytes.split_at_checked(META_BYTES).ok_or_else(no_session)?;
    let (used, subject) = rest.split_at_checked(size_of::<u64>()).ok_or_else(no_session)?;
    let (meta, used, subject) = (meta.to_vec(), used.to_vec(), subject.to_vec());
    EncodedHead { meta, used, subject, end, ..EncodedHead::default() }.unpack().ok_or_else(no_session)
}

/// What is kept at a place: the answers to HGETALL of its hash and GET of the generation.
pub(super) struct SnapshotReply(pub(super) Option<Snapshot>);

impl FromRedisValue for SnapshotReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (fields, generation): (Value, Option<u32>) = FromRedisValue::from_redis_value(value)?;
        let mut fields = fields.into_map_iter().map_err(|_| no_session())?.peekable();
        if fields.peek().is_none() {
            return Ok(Self(None));
        }
        let record = record(fields).ok_or_else(no_session)?;
        Ok(Self(Some(Snapshot { record, generation: Generation(generation.unwrap_or_default()) })))
    }
}

/// The record from the names and the values of all fields.
fn record(fields: impl Iterator<Item = (Value, Value)>) -> Option<Record> {
    let mut packed = EncodedHead::default();
    let mut entries = Vec::with_capacity(fields.size_hint().0);
    for field in fields {
        let (Value::BulkString(field), Value::BulkString(value)) = field else { return None };
        let part = match field.as_slice() {
            name if name.starts_with(ENTRY.as_bytes()) => {
                entries.push((String::from_utf8(field).ok()?, value));
                continue;
            }
            b"m" => &mut packed.meta,
            b"u" => &mut packed.used,
            b"s" => &mut packed.subject,
            b"p" => &mut packed.previous,
            b"k" => &mut packed.idempotency,
            b"c" => &mut packed.context,
            b"x" => &mut packed.end,
            b"o" => &mut packed.imported_from,
            _ => return None,
        };
        *part = value;
    }
    let head = packed.unpack()?;
    // Redis keeps them in no order.
    entries.sort_unstable();
    let entries = entries.iter().map(|(field, value)| (&field[ENTRY.len()..], value.as_slice()));
    Some(Record { head, entries: Entries::pack(entries) })
}

fn no_session() -> ParsingError {
    ParsingError::from("Redis keeps something there that is no session")
}
