//! Events: reads what happens to the sessions of an app.
//!
//! A reader has at most one batch in memory and reads the store itself, so nothing piles up for a slow reader. It reads
//! when the poller of the app has seen something new, and every few seconds.

use super::watch_registry::ReaderSubscription;
use super::{Error, Service};
use crate::store::{Cursor, FeedEntry, FeedRead};
use crate::types::AppName;

/// A reader of an app's event feed.
#[derive(Debug)]
pub struct EventReader {
    service: Service,
    app: AppName,
    position: FeedPosition,
    cursor: Cursor,
    subscription: ReaderSubscription,
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedPosition {
    /// It begins at the end of the feed, which it does not know yet.
    FeedEnd,
    /// It begins at a cursor, which it has not read from yet.
    Cursor,
    Started,
}

/// Some events, those of one session in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    pub events: Vec<FeedEntry>,
    /// Where a reader continues after this batch.
    pub cursor: Cursor,
}

impl Service {
    /// Reads the events of an app from a cursor; without one, those from now on.
    ///
    /// Fails if the app is unknown or of kind `cookie`, and with [`Error::TooManyWatchers`] beyond 1000 readers of an app.
    pub fn events(&self, app: &str, cursor: Option<Cursor>) -> Result<EventReader, Error> {
        let app = self.stored_app(app, "WatchEvents")?.name.clone();
        let position = if cursor.is_some() { FeedPosition::Cursor } else { FeedPosition::FeedEnd };
        let subscription = self.watch_registry.subscribe_reader(&app).ok_or(Error::TooManyWatchers)?;
        Ok(EventReader { service: self.clone(), app, position, cursor: cursor.unwrap_or_default(), subscription })
    }
}

impl EventReader {
    /// Returns the next batch: the first one at once, even if it is empty, a later one when it has events.
    ///
    /// The future can be dropped without losing an event. Fails with [`Error::EventsMissed`] if the cursor is too old
    /// or of another app, and if the app is removed or becomes one of kind `cookie`. After a failure of the store it
    /// can be called again, and continues where it was.
    pub async fn next(&mut self) -> Result<EventBatch, Error> {
        if self.position == FeedPosition::FeedEnd {
            self.cursor = self.service.store.feed_end(&self.app).await?;
            self.position = FeedPosition::Started;
            return Ok(EventBatch { events: Vec::new(), cursor: self.cursor.clone() });
        }
        loop {
            // The app may be removed, or change its kind, while its events are read.
            self.service.stored_app(self.app.as_str(), "WatchEvents")?;
            self.subscription.begin_read();
            match self.service.store.read_feed(&self.app, &self.cursor).await? {
                FeedRead::CursorExpired => return Err(Error::EventsMissed),
                FeedRead::Entries(events, cursor) if self.position == FeedPosition::Cursor || !events.is_empty() => {
                    self.position = FeedPosition::Started;
                    self.cursor.clone_from(&cursor);
                    return Ok(EventBatch { events, cursor });
                }
                FeedRead::Entries(_, cursor) => {
                    self.cursor = cursor;
                    let Service { store, clock, .. } = &self.service;
                    self.subscription.wait(store, clock, &self.app).await;
                }
            }
        }
    }
}
