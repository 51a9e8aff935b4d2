//! The feeds in memory: the newest entries of each app.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::store::encoding::feed_tag;
use crate::store::{Cursor, FeedEntry, FeedRead};
use crate::types::{AppName, random};

/// The feeds of all apps.
#[derive(Debug)]
pub(super) struct Feeds {
    /// Random bytes in every cursor, so that a cursor of another process is noticed.
    process: [u8; 8],
    apps: Mutex<HashMap<AppName, AppFeed>>,
}

#[derive(Debug, Default)]
struct AppFeed {
    /// How many entries were ever added.
    count: u64,
    newest: VecDeque<FeedEntry>,
}

impl Feeds {
    pub(super) fn new() -> Self {
        Self { process: random::bytes(), apps: Mutex::default() }
    }

    /// Adds an entry. The caller holds the lock of what the entry is about, so that the entries of a session are in
    /// order.
    pub(super) fn append(&self, app: &AppName, entry: FeedEntry) {
        let mut apps = self.apps.lock();
        let feed = match apps.get_mut(app) {
            Some(feed) => feed,
            None => apps.entry(app.clone()).or_default(),
        };
        if feed.newest.len() == MAX_ENTRIES {
            feed.newest.pop_front();
        }
        feed.newest.push_back(entry);
        feed.count += 1;
    }

    pub(super) fn end(&self, app: &AppName) -> Cursor {
        self.cursor(app, self.apps.lock().get(app).map_or(0, |feed| feed.count))
    }

    pub(super) fn read(&self, app: &AppName, cursor: &Cursor) -> FeedRead {
        let Some(after) = self.position(app, cursor) else { return FeedRead::CursorExpired };
        let apps = self.apps.lock();
        let (count, newest) = apps.get(app).map_or((0, None), |feed| (feed.count, Some(&feed.newest)));
        let unread = count.checked_sub(after).and_then(|unread| usize::try_from(unread).ok());
        let length = newest.map_or(0, VecDeque::len);
        match unread.and_then(|unread| length.checked_sub(unread)) {
            None => FeedRead::CursorExpired,
            Some(read) => {
                let entries: Vec<FeedEntry> = newest.into_iter().flatten().skip(read).take(PAGE).copied().collect();
                let position = after + u64::try_from(entries.len()).unwrap_or_default();
                FeedRead::Entries(entries, self.cursor(app, position))
            }
        }
    }

    fn cursor(&self, app: &AppName, position: u64) -> Cursor {
        Cursor([self.process, feed_tag(app), position.to_be_bytes()].concat())
    }

    fn position(&self, app: &AppName, cursor: &Cursor) -> Option<u64> {
        let position = cursor.0.strip_prefix(&self.process)?.strip_prefix(&feed_tag(app))?;
        position.try_into().ok().map(u64::from_be_bytes)
    }
}

/// How many entries of an app are kept.
const MAX_ENTRIES: usize = 16 * 1024;

/// The most entries that one call reads.
const PAGE: usize = 1024;
