//! The feed in Redis: one stream for each partition, whose entries are numbered without a gap.
//!
//! A cursor has, for each stream, the position and number of the last entry that was read. If the next number does not
//! follow, entries were trimmed away, or lost with a primary. A count that is lower than the number in a cursor shows
//! such a loss before there are new entries.
//!
//! Streams and counts never expire: if a count began again, an old cursor would seem valid. Their size is bounded: 128
//! keys for each app, with about a thousand entries at most in each stream.

use redis::{FromRedisValue, Value};

use super::{PARTITIONS, Redis};
use crate::store::encoding::{decode_feed_entry, feed_tag};
use crate::store::{Cursor, Error, Feed, FeedEntry, FeedRead};
use crate::types::AppName;

impl Redis {
    pub(super) fn feed_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"feed")
    }

    pub(super) fn feed_count_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"feed:count")
    }

    /// Reads how many entries each partition's stream has ever had.
    async fn counts(&self, app: &AppName) -> Result<Vec<u64>, Error> {
        let mut command = redis::cmd("MGET");
        for partition in 0..PARTITIONS {
            command.arg(self.feed_count_key(app, partition));
        }
        let counts: Vec<Option<u64>> = self.connections.query(&command).await?;
        if counts.len() != usize::from(PARTITIONS) {
            return Err(Error::Corrupt);
        }
        Ok(counts.into_iter().map(Option::unwrap_or_default).collect())
    }
}

impl Feed for Redis {
    async fn feed_end(&self, app: &AppName) -> Result<Cursor, Error> {
        let mut pipe = redis::pipe();
        for partition in 0..PARTITIONS {
            pipe.cmd("XREVRANGE").arg(self.feed_key(app, partition)).arg("+").arg("-").arg("COUNT").arg(1);
        }
        let streams: Vec<Vec<StreamEntry>> = self.connections.pipeline(pipe).await?;
        let newest = streams.into_iter().map(|entries| entries.into_iter().next());
        let positions = newest.map(|entry| entry.map(|entry| entry.position).unwrap_or_default());
        Ok(encode_cursor(app, &positions.collect::<Vec<_>>()))
    }

    async fn read_feed(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        let Some(mut positions) = decode_cursor(app, cursor) else { return Ok(FeedRead::CursorExpired) };
        let counts = self.counts(app).await?;
        if positions.iter().zip(&counts).any(|(position, count)| *count < position.number) {
            return Ok(FeedRead::CursorExpired);
        }
        let has_unread = |(partition, position): &(u8, &Position)| counts[usize::from(*partition)] > position.number;
        let unread = (0..PARTITIONS).zip(&positions).filter(has_unread);
        let unread: Vec<u8> = unread.map(|(partition, _)| partition).collect();
        if unread.is_empty() {
            return Ok(FeedRead::Entries(Vec::new(), cursor.clone()));
        }
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(PAGE).arg("STREAMS");
        for partition in &unread {
            command.arg(self.feed_key(app, *partition));
        }
        for partition in &unread {
            let position = positions[usize::from(*partition)];
            command.arg(format!("{}-{}", position.millis, position.step));
        }
        let streams: Option<Vec<(Vec<u8>, Vec<StreamEntry>)>> = self.connections.query(&command).await?;
        let streams = streams.unwrap_or_default();
        if streams.len() < unread.len() {
            // A stream has no entry after the cursor, although its count says so.
            return Ok(FeedRead::CursorExpired);
        }
        let mut entries = Vec::new();
        for (key, stream) in streams {
            let partition = unread.iter().find(|partition| self.feed_key(app, **partition) == key);
            let position = partition.and_then(|partition| positions.get_mut(usize::from(*partition)));
            let position = position.ok_or(Error::Corrupt)?;
            for StreamEntry { position: next, entry } in stream {
                if Some(next.number) != position.number.checked_add(1) {
                    return Ok(FeedRead::CursorExpired);
                }
                *position = next;
                entries.push(entry);
            }
        }
        Ok(FeedRead::Entries(entries, encode_cursor(app, &positions)))
    }
}

/// The last entry of a stream that was read; 0 throughout if none was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// The two numbers of the id that Redis gave the entry.
    millis: u64,
    step: u64,
    /// The number of the entry since the stream began.
    number: u64,
}

struct StreamEntry {
    position: Position,
    entry: FeedEntry,
}

impl FromRedisValue for StreamEntry {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        let invalid = || redis::ParsingError::from("a feed entry is malformed");
        let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(value)?;
        let (millis, step) = id.split_once('-').ok_or_else(invalid)?;
        let [_, number, _, entry] = fields.as_slice() else { return Err(invalid()) };
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let position = Position {
            millis: millis.parse().map_err(|_| invalid())?,
            step: step.parse().map_err(|_| invalid())?,
            number: number.ok_or_else(invalid)?,
        };
        Ok(Self { position, entry: decode_feed_entry(entry).ok_or_else(invalid)? })
    }
}

/// Writes the feed's tag, and each number with seven bits in a byte, because most numbers are small.
fn encode_cursor(app: &AppName, positions: &[Position]) -> Cursor {
    let numbers = positions.iter().flat_map(|position| [position.millis, position.step, position.number]);
    let mut bytes = feed_tag(app).to_vec();
    for mut number in numbers {
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap_or_default());
    }
    Cursor(bytes)
}

fn decode_cursor(app: &AppName, cursor: &Cursor) -> Option<Vec<Position>> {
    let mut numbers = Vec::with_capacity(usize::from(PARTITIONS) * 3);
    let (mut number, mut shift) = (0_u64, 0_u32);
    for byte in cursor.0.strip_prefix(&feed_tag(app))? {
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    let (positions, rest) = numbers.as_chunks::<3>();
    let is_whole = shift == 0 && rest.is_empty() && positions.len() == usize::from(PARTITIONS);
    let position = |[millis, step, number]: &[u64; 3]| Position { millis: *millis, step: *step, number: *number };
    is_whole.then(|| positions.iter().map(position).collect())
}

/// The most entries of one partition that one call reads.
const PAGE: usize = 32;
