//! The feeds in the file: one row for each entry, numbered for each app without a gap.

use redb::{ReadTransaction, ReadableTable, TableDefinition};

use super::file::{FORMAT, IDENTITY};
use super::tables::{Tables, TablesError};
use crate::store::encoding::{decode_feed_entry, encode_feed_entry, feed_tag};
use crate::store::{Cursor, FeedEntry, FeedRead};
use crate::types::AppName;

impl Tables<'_> {
    /// Adds an entry to the feed of an app.
    pub(super) fn append_to_feed(&mut self, app: &AppName, entry: &FeedEntry) -> Result<(), TablesError> {
        let number = last_number(&self.feed, app)? + 1;
        self.dirty = true;
        self.feed.insert(key(app, number).as_slice(), encode_feed_entry(entry).as_slice())?;
        if number.is_multiple_of(TRIM_EVERY) && number > MIN_ENTRIES {
            let old = key(app, 0)..key(app, number - MIN_ENTRIES);
            self.feed.retain_in(old.start.as_slice()..old.end.as_slice(), |_, _| false)?;
        }
        Ok(())
    }
}

/// See [`crate::store::Feed::feed_end`].
pub(super) fn feed_end(reading: &ReadTransaction, app: &AppName) -> Result<Cursor, TablesError> {
    let number = last_number(&reading.open_table(FEED)?, app)?;
    Ok(cursor(&cursor_prefix(reading, app)?, number))
}

/// See [`crate::store::Feed::read_feed`].
pub(super) fn read_feed(reading: &ReadTransaction, app: &AppName, after: &Cursor) -> Result<FeedRead, TablesError> {
    let prefix = cursor_prefix(reading, app)?;
    let feed = reading.open_table(FEED)?;
    let position = after.0.strip_prefix(prefix.as_slice()).and_then(|number| number.try_into().ok());
    let Some(mut number) = position.map(u64::from_be_bytes) else { return Ok(FeedRead::CursorExpired) };
    if number > last_number(&feed, app)? {
        return Ok(FeedRead::CursorExpired);
    }
    let mut entries = Vec::new();
    let rows = key(app, number + 1)..=key(app, u64::MAX);
    for row in feed.range::<&[u8]>(rows.start().as_slice()..=rows.end().as_slice())?.take(PAGE) {
        let (key, entry) = row?;
        if number_in(key.value()) != Some(number + 1) {
            return Ok(FeedRead::CursorExpired);
        }
        number += 1;
        entries.push(decode_feed_entry(entry.value()).ok_or(TablesError::Corrupt)?);
    }
    Ok(FeedRead::Entries(entries, cursor(&prefix, number)))
}

fn last_number(feed: &impl ReadableTable<&'static [u8], &'static [u8]>, app: &AppName) -> Result<u64, TablesError> {
    let rows = key(app, 0)..=key(app, u64::MAX);
    let last = feed.range::<&[u8]>(rows.start().as_slice()..=rows.end().as_slice())?.next_back().transpose()?;
    Ok(last.and_then(|(key, _)| number_in(key.value())).unwrap_or_default())
}

/// The first bytes of a cursor: the identity of this file, and the tag of the app.
fn cursor_prefix(reading: &ReadTransaction, app: &AppName) -> Result<Vec<u8>, TablesError> {
    let identity = reading.open_table(FORMAT)?.get(IDENTITY)?.map(|identity| identity.value().to_vec());
    Ok([identity.ok_or(TablesError::Corrupt)?.as_slice(), &feed_tag(app)].concat())
}

fn cursor(prefix: &[u8], number: u64) -> Cursor {
    Cursor([prefix, &number.to_be_bytes()].concat())
}

/// The key of a row. The zero byte ends the app's name, which cannot contain one.
fn key(app: &AppName, number: u64) -> Vec<u8> {
    [app.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

fn number_in(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|number| u64::from_be_bytes(*number))
}

/// From app and number to the entry.
pub(super) const FEED: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("feed");

/// How many entries of an app are kept at least.
const MIN_ENTRIES: u64 = 16 * 1024;

/// After how many entries the old ones are deleted, all at once.
const TRIM_EVERY: u64 = 1024;

/// The most entries that one call reads.
const PAGE: usize = 1024;
