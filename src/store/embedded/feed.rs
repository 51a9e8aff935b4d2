//! The feed on disk: a notice a row, numbered by app without a gap.

use redb::{ReadTransaction, ReadableTable, TableDefinition};

use super::file::{FORMAT, IDENTITY};
use super::tables::{Tables, TablesError};
use crate::store::encoding::{feed_tag, pack_feed_entry, unpack_feed_entry};
use crate::store::{Cursor, FeedEntry, FeedRead};
use crate::types::AppName;

impl Tables<'_> {
    /// Tells of something that the transaction does.
    pub(super) fn tell(&mut self, app: &AppName, notice: &FeedEntry) -> Result<(), TablesError> {
        let number = last_number(&self.feed, app)? + 1;
        self.dirty = true;
        self.feed.insert(key(app, number).as_slice(), pack_feed_entry(notice).as_slice())?;
        if number.is_multiple_of(TRIM_EVERY) && number > KEPT {
            let old = key(app, 0)..key(app, number - KEPT);
            self.feed.retain_in(old.start.as_slice()..old.end.as_slice(), |_, _| false)?;
        }
        Ok(())
    }
}

/// See [`crate::store::Feed::latest`].
pub(super) fn latest(reading: &ReadTransaction, app: &AppName) -> Result<Cursor, TablesError> {
    let number = last_number(&reading.open_table(FEED)?, app)?;
    Ok(cursor(&whose(reading, app)?, number))
}

/// See [`crate::store::Feed::since`].
pub(super) fn since(reading: &ReadTransaction, app: &AppName, after: &Cursor) -> Result<FeedRead, TablesError> {
    let whose = whose(reading, app)?;
    let feed = reading.open_table(FEED)?;
    let position = after.0.strip_prefix(whose.as_slice()).and_then(|number| number.try_into().ok());
    let Some(mut number) = position.map(u64::from_be_bytes) else { return Ok(FeedRead::CursorExpired) };
    if number > last_number(&feed, app)? {
        return Ok(FeedRead::CursorExpired);
    }
    let mut notices = Vec::new();
    let rows = key(app, number + 1)..=key(app, u64::MAX);
    for row in feed.range::<&[u8]>(rows.start().as_slice()..=rows.end().as_slice())?.take(PAGE) {
        let (key, notice) = row?;
        if number_of(key.value()) != Some(number + 1) {
            return Ok(FeedRead::CursorExpired);
        }
        number += 1;
        notices.push(unpack_feed_entry(notice.value()).ok_or(TablesError::Corrupt)?);
    }
    Ok(FeedRead::Entries(notices, cursor(&whose, number)))
}

fn last_number(feed: &impl ReadableTable<&'static [u8], &'static [u8]>, app: &AppName) -> Result<u64, TablesError> {
    let rows = key(app, 0)..=key(app, u64::MAX);
    let last = feed.range::<&[u8]>(rows.start().as_slice()..=rows.end().as_slice())?.next_back().transpose()?;
    Ok(last.and_then(|(key, _)| number_of(key.value())).unwrap_or_default())
}

/// Tells the cursors of this file and this app from all others.
fn whose(reading: &ReadTransaction, app: &AppName) -> Result<Vec<u8>, TablesError> {
    let identity = reading.open_table(FORMAT)?.get(IDENTITY)?.map(|identity| identity.value().to_vec());
    Ok([identity.ok_or(TablesError::Corrupt)?.as_slice(), &feed_tag(app)].concat())
}

fn cursor(whose: &[u8], number: u64) -> Cursor {
    Cursor([whose, &number.to_be_bytes()].concat())
}

/// No app's name holds a zero byte.
fn key(app: &AppName, number: u64) -> Vec<u8> {
    [app.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|number| u64::from_be_bytes(*number))
}

/// By app and number: a notice.
pub(super) const FEED: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("feed");

/// How many notices of an app are kept at least.
const KEPT: u64 = 16 * 1024;

/// How many more pile up before the old ones go together.
const TRIM_EVERY: u64 = 1024;

/// How many are handed out at once.
const PAGE: usize = 1024;
