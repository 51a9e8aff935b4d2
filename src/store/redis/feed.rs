//! The feed in Redis: one stream a partition, whose notices are numbered without a gap.
//!
//! A cursor is where each stream was read to, and the number of the last notice there. A number that does not
//! follow tells that notices were trimmed away, or lost with a primary; so does a count that is lower than a cursor's,
//! though nothing has come since.
//!
//! Neither stream nor count ever expires. A count that began anew would make a cursor of before look good; and they are
//! bounded: 128 keys an app, of about a thousand notices at most in each stream.

use redis::{FromRedisValue, Value};

use super::{PARTITIONS, Redis};
use crate::store::encoding::{feed_tag, unpack_feed_entry};
use crate::store::{Cursor, Error, Feed, FeedEntry, FeedRead};
use crate::types::AppName;

impl Redis {
    pub(super) fn feed_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"feed")
    }

    pub(super) fn feed_count_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"feed:count")
    }

    /// How many notices were ever told in each partition.
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
        let streams: Vec<Vec<Item>> = self.connections.pipeline(pipe).await?;
        let positions = streams.into_iter().map(|items| items.into_iter().next());
        let positions = positions.map(|item| item.map(|item| item.position).unwrap_or_default());
        Ok(pack(app, &positions.collect::<Vec<_>>()))
    }

    async fn read_feed(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        let Some(mut positions) = unpack(app, cursor) else { return Ok(FeedRead::CursorExpired) };
        let counts = self.counts(app).await?;
        if positions.iter().zip(&counts).any(|(position, count)| *count < position.number) {
            return Ok(FeedRead::CursorExpired);
        }
        let told = |(partition, position): (u8, &Position)| {
            (counts[usize::from(partition)] > position.number).then_some(partition)
        };
        let told: Vec<u8> = (0..PARTITIONS).zip(&positions).filter_map(told).collect();
        if told.is_empty() {
            return Ok(FeedRead::Entries(Vec::new(), cursor.clone()));
        }
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(PAGE).arg("STREAMS");
        for partition in &told {
            command.arg(self.feed_key(app, *partition));
        }
        for partition in &told {
            let position = positions[usize::from(*partition)];
            command.arg(format!("{}-{}", position.millis, position.step));
        }
        let streams: Option<Vec<(Vec<u8>, Vec<Item>)>> = self.connections.query(&command).await?;
        let streams = streams.unwrap_or_default();
        if streams.len() < told.len() {
            // It was told, and it is not there.
            return Ok(FeedRead::CursorExpired);
        }
        let mut notices = Vec::new();
        for (key, items) in streams {
            let partition = told.iter().find(|partition| self.feed_key(app, **partition) == key);
            let position = partition.and_then(|partition| positions.get_mut(usize::from(*partition)));
            let position = position.ok_or(Error::Corrupt)?;
            for item in items {
                if Some(item.position.number) != position.number.checked_add(1) {
                    return Ok(FeedRead::CursorExpired);
                }
                *position = item.position;
                notices.push(item.notice);
            }
        }
        Ok(FeedRead::Entries(notices, pack(app, &positions)))
    }
}

/// Where a stream was read to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// The two halves of the stream's own id.
    millis: u64,
    step: u64,
    /// The number of the notice there.
    number: u64,
}

struct Item {
    position: Position,
    notice: FeedEntry,
}

impl FromRedisValue for Item {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        let strange = || redis::ParsingError::from("a feed holds what is no notice");
        let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(value)?;
        let (millis, step) = id.split_once('-').ok_or_else(strange)?;
        let [_, number, _, notice] = fields.as_slice() else { return Err(strange()) };
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let position = Position {
            millis: millis.parse().map_err(|_| strange())?,
            step: step.parse().map_err(|_| strange())?,
            number: number.ok_or_else(strange)?,
        };
        Ok(Self { position, notice: unpack_feed_entry(notice).ok_or_else(strange)? })
    }
}

fn pack(app: &AppName, positions: &[Position]) -> Cursor {
    let halves = positions.iter().flat_map(|position| [position.millis, position.step, position.number]);
    let mut bytes = feed_tag(app).to_vec();
    for mut number in halves {
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap_or_default());
    }
    Cursor(bytes)
}

fn unpack(app: &AppName, cursor: &Cursor) -> Option<Vec<Position>> {
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

/// How many notices of one partition are read at once.
const PAGE: usize = 32;
