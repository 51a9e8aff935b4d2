//! The feeds of both stores as one.
//!
//! All events of a session in the old store happened before those in the new one. So the new store is read first, and
//! what it has is given away only with all that the old one had then.

use super::Moving;
use super::cursor::{join, split};
use crate::store::{Cursor, Error, Feed, FeedRead};
use crate::types::AppName;

impl Feed for Moving {
    async fn feed_end(&self, app: &AppName) -> Result<Cursor, Error> {
        let old = self.old.feed_end(app).await?;
        Ok(join(&old, &self.new.feed_end(app).await?))
    }

    async fn read_feed(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        let Some((mut old, new)) = split(cursor) else { return Ok(FeedRead::CursorExpired) };
        let FeedRead::Entries(later, new_end) = self.new.read_feed(app, &new).await? else {
            return Ok(FeedRead::CursorExpired);
        };
        let mut entries = Vec::new();
        for _ in 0..MAX_READS {
            let FeedRead::Entries(read, end) = self.old.read_feed(app, &old).await? else {
                return Ok(FeedRead::CursorExpired);
            };
            let is_last = read.len() < LAST;
            old = end;
            entries.extend(read);
            if is_last {
                entries.extend(later);
                return Ok(FeedRead::Entries(entries, join(&old, &new_end)));
            }
        }
        Ok(FeedRead::Entries(entries, join(&old, &new)))
    }
}

/// A read that returns fewer entries has returned all that there were. Redis returns 32 of each stream at most.
const LAST: usize = 32;

/// How often the old store is read at once.
const MAX_READS: usize = 32;
