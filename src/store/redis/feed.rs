//! The feed in Redis: one stream for each partition, whose entries are numbered without a gap.
//!
//! A cursor has, for each stream, the position and number of the last entry that was read. If the next number does not
//! follow, entries were trimmed away, or lost with a primary. A count that is lower than the number in a cursor shows
//! such a loss before there are new entries.
//!
//! Streams and counts never expire: if a count began again, an old cursor would seem valid. Their size is bounded: two
//! keys for each partition, with about a thousand entries at most in each stream.

use redis::{FromRedisValue, Value};

use super::failure::Failure;
use super::partitions::{Partition, Slot};
use super::router::{Router, parse_one};
use super::sequence::Sequence;
use super::{Redis, key_command};
use crate::store::encoding::{decode_feed_entry, feed_tag};
use crate::store::{Cursor, Error, Feed, FeedEntry, FeedRead};
use crate::types::AppName;

impl Redis {
    pub(super) fn feed_key(&self, app: &AppName, partition: Partition) -> Vec<u8> {
        self.key(app, partition, b"feed")
    }

    pub(super) fn feed_count_key(&self, app: &AppName, partition: Partition) -> Vec<u8> {
        self.key(app, partition, b"feed:count")
    }

    /// Reads how many entries each partition's stream has ever had.
    async fn counts(&self, app: &AppName) -> Result<Vec<u64>, Error> {
        let keys: Vec<_> = self.partitions.all().map(|partition| self.feed_count_key(app, partition)).collect();
        let router = self.router().await?;
        let counts: Vec<Option<u64>> = match router {
            // At a tenth of the cost of one command for each.
            Router::Single(_) => {
                let mut command = redis::cmd("MGET");
                command.arg(&keys);
                router.one(Sequence::read(Slot(0), [command])).await?
            }
            Router::Cluster(_) => {
                let get = |(partition, key): (Partition, &Vec<u8>)| {
                    Sequence::read(self.partitions.slot(partition), [key_command("GET", key)])
                };
                let sequences: Vec<_> = self.partitions.all().zip(&keys).map(get).collect();
                first_of_each(router.all(&sequences).await)?
            }
        };
        if counts.len() != usize::from(self.partitions.count()) {
            return Err(Error::Corrupt);
        }
        Ok(counts.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Reads the entries after these positions.
    async fn read_streams(
        &self,
        app: &AppName,
        unread: &[(Partition, Position)],
    ) -> Result<Vec<Vec<StreamEntry>>, Error> {
        let read = |(partition, position): &(Partition, Position)| {
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(PAGE).arg("STREAMS").arg(self.feed_key(app, *partition));
            command.arg(format!("{}-{}", position.millis, position.step));
            Sequence::read(self.partitions.slot(*partition), [command])
        };
        let sequences: Vec<_> = unread.iter().map(read).collect();
        let streams: Vec<Option<Vec<NamedStream>>> = first_of_each(self.router().await?.all(&sequences).await)?;
        let entries = |stream: Option<Vec<NamedStream>>| {
            stream.and_then(|streams| streams.into_iter().next()).map(|(_, entries)| entries).unwrap_or_default()
        };
        Ok(streams.into_iter().map(entries).collect())
    }
}

impl Feed for Redis {
    async fn feed_end(&self, app: &AppName) -> Result<Cursor, Error> {
        let read = |partition| {
            let mut command = redis::cmd("XREVRANGE");
            command.arg(self.feed_key(app, partition)).arg("+").arg("-").arg("COUNT").arg(1);
            Sequence::read(self.partitions.slot(partition), [command])
        };
        let sequences: Vec<_> = self.partitions.all().map(read).collect();
        let streams: Vec<Vec<StreamEntry>> = first_of_each(self.router().await?.all(&sequences).await)?;
        let newest = streams.into_iter().map(|entries| entries.into_iter().next());
        let positions = newest.map(|entry| entry.map(|entry| entry.position).unwrap_or_default());
        Ok(encode_cursor(app, &positions.collect::<Vec<_>>()))
    }

    async fn read_feed(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        let positions = decode_cursor(app, cursor).filter(|all| all.len() == usize::from(self.partitions.count()));
        let Some(mut positions) = positions else { return Ok(FeedRead::CursorExpired) };
        let counts = self.counts(app).await?;
        if positions.iter().zip(&counts).any(|(position, count)| *count < position.number) {
            return Ok(FeedRead::CursorExpired);
        }
        let has_unread = |(partition, position): &(Partition, Position)| counts[partition.index()] > position.number;
        let unread: Vec<_> = self.partitions.all().zip(positions.iter().copied()).filter(has_unread).collect();
        if unread.is_empty() {
            return Ok(FeedRead::Entries(Vec::new(), cursor.clone()));
        }
        let streams = self.read_streams(app, &unread).await?;
        let mut entries = Vec::new();
        for ((partition, _), stream) in unread.iter().zip(streams) {
            if stream.is_empty() {
                // It has no entry after the cursor, although its count says so.
                return Ok(FeedRead::CursorExpired);
            }
            let position = &mut positions[partition.index()];
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

/// Reads the first answer of each sequence, and fails if one of them failed.
fn first_of_each<T: FromRedisValue>(results: Vec<Result<Vec<Value>, Failure>>) -> Result<Vec<T>, Error> {
    let first = |result: Result<Vec<Value>, Failure>| parse_one(result?);
    results.into_iter().map(first).collect()
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

/// The key of a stream, and entries of it.
type NamedStream = (Vec<u8>, Vec<StreamEntry>);

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
    let mut numbers = Vec::with_capacity(cursor.0.len());
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
    let is_whole = shift == 0 && rest.is_empty();
    let position = |[millis, step, number]: &[u64; 3]| Position { millis: *millis, step: *step, number: *number };
    is_whole.then(|| positions.iter().map(position).collect())
}

/// The most entries of one partition that one call reads.
const PAGE: usize = 32;
