//! Events: what happens to an app's sessions, for whoever wants to know of all of it.
//!
//! A reader has at most one batch in hand and reads the store itself: nothing here piles up for a slow one.

use std::time::Duration;

use super::{Error, Service};
use crate::store::{Cursor, FeedEntry, FeedRead};
use crate::types::AppName;

/// A reader of an app's feed.
#[derive(Debug)]
pub struct EventReader {
    service: Service,
    app: AppName,
    begin: ReadFrom,
    cursor: Cursor,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadFrom {
    /// Nothing is read, and it begins with what comes.
    Latest,
    /// Nothing is read, and it goes on where another one ended.
    Cursor,
    /// It has begun.
    Done,
}

/// Some of what happened, in the order it happened to each session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// What happened.
    pub notices: Vec<FeedEntry>,
    /// Goes on behind it.
    pub cursor: Cursor,
}

impl Service {
    /// Reads what happens to an app's sessions, from a cursor or, without one, from now on.
    pub fn events(&self, app: &str, cursor: Option<Cursor>) -> Result<EventReader, Error> {
        let app = self.stored_app(app, "WatchEvents")?.name.clone();
        let begin = if cursor.is_some() { ReadFrom::Cursor } else { ReadFrom::Latest };
        Ok(EventReader { service: self.clone(), app, begin, cursor: cursor.unwrap_or_default() })
    }
}

impl EventReader {
    /// The next batch: the first one at once, with or without notices, a further one when it has any.
    ///
    /// May be asked again after a store's failure, and goes on where it was. May be dropped without losing anything.
    pub async fn next(&mut self) -> Result<EventBatch, Error> {
        if self.begin == ReadFrom::Latest {
            self.cursor = self.service.store.feed_end(&self.app).await?;
            self.begin = ReadFrom::Done;
            return Ok(EventBatch { notices: Vec::new(), cursor: self.cursor.clone() });
        }
        loop {
            // An app may go, or change its kind, while its events are read.
            self.service.stored_app(self.app.as_str(), "WatchEvents")?;
            match self.service.store.read_feed(&self.app, &self.cursor).await? {
                FeedRead::CursorExpired => return Err(Error::EventsMissed),
                FeedRead::Entries(notices, cursor) if self.begin == ReadFrom::Cursor || !notices.is_empty() => {
                    self.begin = ReadFrom::Done;
                    self.cursor.clone_from(&cursor);
                    return Ok(EventBatch { notices, cursor });
                }
                FeedRead::Entries(..) => tokio::time::sleep(INTERVAL).await,
            }
        }
    }
}

/// How often the feed is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
