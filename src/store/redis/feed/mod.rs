//! The feed in Redis: one stream for each partition, whose entries are numbered without a gap.
//!
//! A cursor has, for each stream, the position and number of the last entry that was read. If the next number does not
//! follow, entries were trimmed away, or lost with a primary. A count that is lower than the number in a cursor shows
//! such a loss before there are new entries.
//!
//! In a cluster the streams of all other nodes are read while one does not answer, and do not wait for it.
//!
//! After a new connection was opened the last entry that was read has to be there still, for the primary may be another
//! one, which has other entries in the same numbers. So has that of a cursor which another process has given out.
//!
//! Streams and counts never expire: if a count began again, an old cursor would seem valid. Their size is bounded: two
//! keys for each partition, with about a thousand entries at most in each stream.

mod cursor;
pub(super) mod verified_cursors;

use redis::{FromRedisValue, Value};
use tracing::debug;

use self::cursor::{StreamPosition, StreamProgress, decode, encode};
use super::answer::parse_one;
use super::failure::Failure;
use super::partitions::{Partition, Slot};
use super::router::Router;
use super::sequence::Sequence;
use super::{Redis, key_command};
use crate::store::encoding::decode_feed_entry;
use crate::store::{Cursor, Error, Feed, FeedEntry, FeedRead};
use crate::types::AppName;

/// A stream that may have entries after this position.
struct UnreadStream {
    partition: Partition,
    position: StreamPosition,
    /// How many entries it has ever had.
    count: u64,
    /// Whether the entry at the position has to be there.
    is_unchecked: bool,
}

/// The key of a stream, and entries of it.
type NamedStream = (Vec<u8>, Vec<StreamEntry>);

struct StreamEntry {
    position: StreamPosition,
    entry: FeedEntry,
}

impl Redis {
    pub(in crate::store::redis) fn feed_key(&self, app: &AppName, partition: Partition) -> Vec<u8> {
        self.key(app, partition, b"feed")
    }

    pub(in crate::store::redis) fn feed_count_key(&self, app: &AppName, partition: Partition) -> Vec<u8> {
        self.key(app, partition, b"feed:count")
    }

    /// Reads how many entries each partition's stream has ever had; `None` where the server does not answer.
    async fn counts(&self, app: &AppName) -> Result<Vec<Option<u64>>, Error> {
        let keys: Vec<_> = self.partitions.all().map(|partition| self.feed_count_key(app, partition)).collect();
        let router = self.router().await?;
        let counts: Vec<Option<Option<u64>>> = match router {
            // At a tenth of the cost of one command for each.
            Router::Single(_) => {
                let mut command = redis::cmd("MGET");
                command.arg(&keys);
                let counts: Vec<Option<u64>> = router.query(Sequence::read(Slot(0), [command])).await?;
                counts.into_iter().map(Some).collect()
            }
            Router::Cluster(_) => {
                let get = |(partition, key): (Partition, &Vec<u8>)| {
                    Sequence::read(self.partitions.slot(partition), [key_command("GET", key)])
                };
                let sequences = self.partitions.all().zip(&keys).map(get).collect();
                answered(router.all_promptly(sequences).await, parse_one)?
            }
        };
        if counts.len() != usize::from(self.partitions.count()) {
            return Err(Error::Corrupt);
        }
        Ok(counts.into_iter().map(|count| count.map(Option::unwrap_or_default)).collect())
    }

    /// Reads the entries after these positions, and at those that are unchecked; `None` where the server does not answer.
    async fn read_streams(&self, app: &AppName, unread: &[UnreadStream]) -> Result<Vec<Option<StreamReply>>, Error> {
        let read = |UnreadStream { partition, position, is_unchecked, .. }: &UnreadStream| {
            let (key, id) = (self.feed_key(app, *partition), format!("{}-{}", position.millis, position.step));
            let (mut last, mut next) = (redis::cmd("XREVRANGE"), redis::cmd("XREAD"));
            last.arg(&key).arg(&id).arg(&id).arg("COUNT").arg(1);
            next.arg("COUNT").arg(PAGE).arg("STREAMS").arg(&key).arg(&id);
            let commands = Some(last).filter(|_| *is_unchecked).into_iter().chain([next]);
            Sequence::read(self.partitions.slot(*partition), commands)
        };
        let sequences = unread.iter().map(read).collect();
        answered(self.router().await?.all_promptly(sequences).await, StreamReply::read)
    }
}

impl Feed for Redis {
    async fn feed_end(&self, app: &AppName) -> Result<Cursor, Error> {
        let opened = self.router.opened_connections();
        let read = |partition| {
            let mut command = redis::cmd("XREVRANGE");
            command.arg(self.feed_key(app, partition)).arg("+").arg("-").arg("COUNT").arg(1);
            Sequence::read(self.partitions.slot(partition), [command])
        };
        let sequences: Vec<_> = self.partitions.all().map(read).collect();
        let streams: Vec<Option<Vec<StreamEntry>>> = answered(self.router().await?.all(&sequences).await, parse_one)?;
        let progress = streams.into_iter().map(|newest| match newest {
            Some(newest) => StreamProgress::Read(newest.first().map(|newest| newest.position).unwrap_or_default()),
            None => StreamProgress::Unknown,
        });
        let end = encode(app, &progress.collect::<Vec<_>>());
        self.verified_cursors.add(&end, opened);
        Ok(end)
    }

    async fn read_feed(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        loop {
            let opened = self.router.opened_connections();
            let is_verified = self.verified_cursors.contains(cursor, opened);
            let read = self.read_positions(app, cursor, is_verified).await?;
            // If a connection was opened meanwhile, another server may have answered, which does not have what was read.
            if is_verified && self.router.opened_connections() != opened {
                continue;
            }
            if let FeedRead::Entries(_, next) = &read {
                self.verified_cursors.add(next, opened);
            }
            return Ok(read);
        }
    }
}

impl Redis {
    /// Reads the entries after a cursor. Unless it is verified, the last entry of each stream has to be there still.
    async fn read_positions(&self, app: &AppName, cursor: &Cursor, is_verified: bool) -> Result<FeedRead, Error> {
        let progress = decode(app, cursor).filter(|all| all.len() == usize::from(self.partitions.count()));
        let Some(mut progress) = progress else { return Ok(FeedRead::CursorExpired) };
        if !is_verified {
            progress.iter_mut().for_each(StreamProgress::note_outage);
        }
        let counts = self.counts(app).await?;
        let Some(unread) = unread(self.partitions.all(), &mut progress, &counts) else {
            return Ok(FeedRead::CursorExpired);
        };
        let mut entries = Vec::new();
        for (unread, stream) in unread.iter().zip(self.read_streams(app, &unread).await?) {
            let progress = &mut progress[unread.partition.index()];
            match stream {
                Some(stream) => match unread.append(stream, &mut entries) {
                    Some(position) => *progress = StreamProgress::Read(position),
                    None => return Ok(FeedRead::CursorExpired),
                },
                None => progress.note_outage(),
            }
        }
        Ok(FeedRead::Entries(entries, encode(app, &progress)))
    }
}

/// Returns the streams to read; `None` if entries of one have been missed.
fn unread(
    partitions: impl Iterator<Item = Partition>,
    progress: &mut [StreamProgress],
    counts: &[Option<u64>],
) -> Option<Vec<UnreadStream>> {
    let mut unread = Vec::new();
    for (partition, (progress, count)) in partitions.zip(progress.iter_mut().zip(counts)) {
        let Some(count) = *count else {
            progress.note_outage();
            continue;
        };
        let (position, is_unchecked) = match *progress {
            StreamProgress::Read(position) => (position, false),
            StreamProgress::Unchecked(position) => (position, true),
            StreamProgress::Unknown => return None,
        };
        if count < position.number {
            return None;
        }
        if is_unchecked || count > position.number {
            unread.push(UnreadStream { partition, position, count, is_unchecked });
        }
    }
    Some(unread)
}

impl UnreadStream {
    /// Adds the entries after the position, and returns that of the last one. `None` if entries have been missed.
    fn append(&self, StreamReply { last, next }: StreamReply, entries: &mut Vec<FeedEntry>) -> Option<StreamPosition> {
        let has_been_read = self.is_unchecked && self.position.number > 0;
        if has_been_read && last.is_none_or(|last| last.position != self.position) {
            return None;
        }
        if next.is_empty() && self.count > self.position.number {
            // It has no entry after the cursor, although its count says so.
            return None;
        }
        let mut position = self.position;
        for StreamEntry { position: next, entry } in next {
            if Some(next.number) != position.number.checked_add(1) {
                return None;
            }
            position = next;
            entries.push(entry);
        }
        Some(position)
    }
}

/// Reads the answers to each sequence; `None` where the server does not answer. Fails if none does.
fn answered<T>(
    results: Vec<Result<Vec<Value>, Failure>>,
    read: impl Fn(Vec<Value>) -> Result<T, Error>,
) -> Result<Vec<Option<T>>, Error> {
    let (mut answers, mut outage) = (Vec::with_capacity(results.len()), None);
    for result in results {
        match result.map_err(Error::from) {
            Ok(answer) => answers.push(Some(read(answer)?)),
            Err(error @ (Error::Unavailable(_) | Error::Refused(_))) => {
                answers.push(None);
                outage = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    let Some(outage) = outage else { return Ok(answers) };
    if answers.iter().all(Option::is_none) {
        return Err(outage);
    }
    debug!(error = &outage as &dyn std::error::Error, "a part of the feed is not read; trying again");
    Ok(answers)
}

/// The replies to XREVRANGE of the last entry that was read, if it was sent, and to XREAD.
struct StreamReply {
    last: Option<StreamEntry>,
    next: Vec<StreamEntry>,
}

impl StreamReply {
    fn read(mut answers: Vec<Value>) -> Result<Self, Error> {
        let next = answers.split_off(answers.len().saturating_sub(1));
        let last: Vec<StreamEntry> = if answers.is_empty() { Vec::new() } else { parse_one(answers)? };
        let streams: Option<Vec<NamedStream>> = parse_one(next)?;
        let next = streams.and_then(|streams| streams.into_iter().next()).map(|(_, entries)| entries);
        Ok(Self { last: last.into_iter().next(), next: next.unwrap_or_default() })
    }
}

impl FromRedisValue for StreamEntry {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        let invalid = || redis::ParsingError::from("a feed entry is malformed");
        let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(value)?;
        let (millis, step) = id.split_once('-').ok_or_else(invalid)?;
        let [_, number, _, entry] = fields.as_slice() else { return Err(invalid()) };
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let position = StreamPosition {
            millis: millis.parse().map_err(|_| invalid())?,
            step: step.parse().map_err(|_| invalid())?,
            number: number.ok_or_else(invalid)?,
        };
        Ok(Self { position, entry: decode_feed_entry(entry).ok_or_else(invalid)? })
    }
}

/// The most entries of one partition that one call reads.
const PAGE: usize = 32;
