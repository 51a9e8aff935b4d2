//! Events: what happens to an app's sessions, for whoever wants to know of all of it.
//!
//! A reader has at most one batch in hand and reads the store itself: nothing here piles up for a slow one.

use std::time::Duration;

use super::{Error, Service};
use crate::app::AppName;
use crate::store::{Cursor, Notice, Since, Store};

/// A reader of an app's feed.
#[derive(Debug)]
pub struct Events<S> {
    service: Service<S>,
    app: AppName,
    begin: Begin,
    cursor: Cursor,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Nothing is read, and it begins with what comes.
    Latest,
    /// Nothing is read, and it goes on where another one ended.
    Cursor,
    /// It has begun.
    Done,
}

/// Some of what happened, in the order it happened to each session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What happened.
    pub notices: Vec<Notice>,
    /// Goes on behind it.
    pub cursor: Cursor,
}

impl<S: Store> Service<S> {
    /// Reads what happens to an app's sessions, from a cursor or, without one, from now on.
    pub fn events(&self, app: &str, cursor: Option<Cursor>) -> Result<Events<S>, Error> {
        let app = self.stored_app(app, "WatchEvents")?.name.clone();
        let begin = if cursor.is_some() { Begin::Cursor } else { Begin::Latest };
        Ok(Events { service: self.clone(), app, begin, cursor: cursor.unwrap_or_default() })
    }
}

impl<S: Store> Events<S> {
    /// The next batch: the first one at once, with or without notices, a further one when it has any.
    ///
    /// May be asked again after a store's failure, and goes on where it was. May be dropped without losing anything.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        if self.begin == Begin::Latest {
            self.cursor = self.service.store.latest(&self.app).await?;
            self.begin = Begin::Done;
            return Ok(Batch { notices: Vec::new(), cursor: self.cursor.clone() });
        }
        loop {
            // An app may go, or change its kind, while its events are read.
            self.service.stored_app(self.app.as_str(), "WatchEvents")?;
            match self.service.store.since(&self.app, &self.cursor).await? {
                Since::Missed => return Err(Error::EventsMissed),
                Since::Notices(notices, cursor) if self.begin == Begin::Cursor || !notices.is_empty() => {
                    self.begin = Begin::Done;
                    self.cursor.clone_from(&cursor);
                    return Ok(Batch { notices, cursor });
                }
                Since::Notices(..) => tokio::time::sleep(INTERVAL).await,
            }
        }
    }
}

/// How often the feed is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
