//! The feed: what happened to the sessions of an app, in the order it happened to each.
//!
//! A notice is written in the same step as the change that it tells of. A feed keeps the newest thousands; whoever
//! is too slow for it is told that notices were missed, never nothing.
//!
//! What happened to one session comes in its order, and once to whoever follows the cursors. Nothing is promised of the
//! order of two sessions. A store that keeps an app in parts tells of its revocation once for each: then those that
//! were created before in some part have ended, and after the last notice of it all have.

use std::future::Future;

use super::{Cursor, Error};
use crate::session::Event;
use crate::types::{AppName, Time};

/// The feed of a store.
pub trait Feed {
    /// Where the feed of an app ends now.
    fn feed_end(&self, app: &AppName) -> impl Future<Output = Result<Cursor, Error>> + Send;

    /// What came after the cursor; answers at once.
    fn read_feed(&self, app: &AppName, cursor: &Cursor) -> impl Future<Output = Result<FeedRead, Error>> + Send;
}

/// What came after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedRead {
    /// These, a thousand or so at most, and where to go on.
    Entries(Vec<FeedEntry>, Cursor),
    /// Some that are kept no longer, or the cursor is of another feed: what is known has to be looked up again.
    CursorExpired,
}

/// What a feed tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEntry {
    /// Of one session.
    Session(Event),
    /// Of all, or of a part of them that no reader needs to know: what was created before has ended.
    AppRevoked {
        /// When.
        time: Time,
    },
}
