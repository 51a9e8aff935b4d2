//! The feeds in the file: one row for each entry, numbered for each app without a gap.

use std::ops::Bound;

use super::file::IDENTITY;
use super::rows::{RowsError, Table, View};
use super::tables::Tables;
use crate::store::encoding::{decode_feed_entry, encode_feed_entry, feed_tag};
use crate::store::{Cursor, FeedEntry, FeedRead};
use crate::types::AppName;

impl Tables<'_> {
    /// Adds an entry to the feed of an app.
    pub(super) fn append_to_feed(&mut self, app: &AppName, entry: &FeedEntry) -> Result<(), RowsError> {
        let number = last_number(&self.view(), app)? + 1;
        self.insert(Table::Feed, &key(app, number), &encode_feed_entry(entry));
        if number.is_multiple_of(TRIM_EVERY) && number > MIN_ENTRIES {
            let (first, end) = (key(app, 0), key(app, number - MIN_ENTRIES));
            let old = self.first_keys(Table::Feed, (Bound::Included(&first), Bound::Excluded(&end)), usize::MAX)?;
            old.iter().for_each(|key| self.remove(Table::Feed, key));
        }
        Ok(())
    }
}

/// See [`crate::store::Feed::feed_end`].
pub(super) fn feed_end(view: &View<'_>, app: &AppName) -> Result<Cursor, RowsError> {
    Ok(cursor(&cursor_prefix(view, app)?, last_number(view, app)?))
}

/// See [`crate::store::Feed::read_feed`].
pub(super) fn read_feed(view: &View<'_>, app: &AppName, after: &Cursor) -> Result<FeedRead, RowsError> {
    let prefix = cursor_prefix(view, app)?;
    let position = after.0.strip_prefix(prefix.as_slice()).and_then(|number| number.try_into().ok());
    let Some(mut number) = position.map(u64::from_be_bytes) else { return Ok(FeedRead::CursorExpired) };
    if number > last_number(view, app)? {
        return Ok(FeedRead::CursorExpired);
    }
    let mut entries = Vec::new();
    let (first, last) = (key(app, number + 1), key(app, u64::MAX));
    for row in view.range(Table::Feed, (Bound::Included(&first), Bound::Included(&last)))?.take(PAGE) {
        let (key, entry) = row?;
        if number_in(&key) != Some(number + 1) {
            return Ok(FeedRead::CursorExpired);
        }
        number += 1;
        entries.push(decode_feed_entry(&entry).ok_or(RowsError::Corrupt)?);
    }
    Ok(FeedRead::Entries(entries, cursor(&prefix, number)))
}

fn last_number(view: &View<'_>, app: &AppName) -> Result<u64, RowsError> {
    let (first, last) = (key(app, 0), key(app, u64::MAX));
    let last = view.last(Table::Feed, (Bound::Included(&first), Bound::Included(&last)))?;
    Ok(last.and_then(|(key, _)| number_in(&key)).unwrap_or_default())
}

/// The first bytes of a cursor: the identity of this file, and the tag of the app.
fn cursor_prefix(view: &View<'_>, app: &AppName) -> Result<Vec<u8>, RowsError> {
    let identity = view.get(Table::Format, IDENTITY)?.ok_or(RowsError::Corrupt)?;
    Ok([&*identity, &feed_tag(app)].concat())
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

/// How many entries of an app are kept at least.
const MIN_ENTRIES: u64 = 16 * 1024;

/// After how many entries the old ones are deleted, all at once.
const TRIM_EVERY: u64 = 1024;

/// The most entries that one call reads.
const PAGE: usize = 1024;
