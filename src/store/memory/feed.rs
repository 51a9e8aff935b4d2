//! The feeds in memory: the newest notices of each app.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::store::encoding::feed_tag;
use crate::store::{Cursor, FeedEntry, FeedRead};
use crate::types::{AppName, random};

/// The feeds of all apps.
#[derive(Debug)]
pub(super) struct Feeds {
    /// Tells the cursors of this process from those of another.
    process: [u8; 8],
    rings: Mutex<HashMap<AppName, Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    /// How many notices there have ever been.
    told: u64,
    newest: VecDeque<FeedEntry>,
}

impl Feeds {
    pub(super) fn new() -> Self {
        Self { process: random::bytes(), rings: Mutex::default() }
    }

    /// Tells of something; under the lock of what it happened to.
    pub(super) fn tell(&self, app: &AppName, notice: FeedEntry) {
        let mut rings = self.rings.lock();
        let ring = match rings.get_mut(app) {
            Some(ring) => ring,
            None => rings.entry(app.clone()).or_default(),
        };
        if ring.newest.len() == KEPT {
            ring.newest.pop_front();
        }
        ring.newest.push_back(notice);
        ring.told += 1;
    }

    pub(super) fn end(&self, app: &AppName) -> Cursor {
        self.cursor(app, self.rings.lock().get(app).map_or(0, |ring| ring.told))
    }

    pub(super) fn read(&self, app: &AppName, cursor: &Cursor) -> FeedRead {
        let Some(after) = self.position(app, cursor) else { return FeedRead::CursorExpired };
        let rings = self.rings.lock();
        let (told, newest) = rings.get(app).map_or((0, None), |ring| (ring.told, Some(&ring.newest)));
        let new = told.checked_sub(after).and_then(|new| usize::try_from(new).ok());
        let length = newest.map_or(0, VecDeque::len);
        match new.and_then(|new| length.checked_sub(new)) {
            None => FeedRead::CursorExpired,
            Some(known) => {
                let notices: Vec<FeedEntry> = newest.into_iter().flatten().skip(known).take(PAGE).copied().collect();
                let position = after + u64::try_from(notices.len()).unwrap_or_default();
                FeedRead::Entries(notices, self.cursor(app, position))
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

/// How many notices of an app are kept.
const KEPT: usize = 16 * 1024;

/// How many are handed out at once.
const PAGE: usize = 1024;
