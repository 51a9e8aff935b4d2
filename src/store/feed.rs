//! The feed of an app: what happened to its sessions.
//!
//! A store writes an entry in the same step as the change that it reports. A feed keeps at least the newest thousand
//! entries or so of an app. A reader that is too slow for that learns that it missed entries
//! ([`FeedRead::CursorExpired`]); entries are never missing without notice.
//!
//! A reader that follows the cursors gets the entries of one session once each and in their order. The order of two
//! sessions is not defined. A store that divides an app into parts writes [`FeedEntry::AppRevoked`] once for each part:
//! then the sessions of that part have ended, and after the last of these entries all have.
//!
//! While a part of a store does not answer, the entries of all others are read. Those of that part follow when it answers
//! again, or the reader learns that it missed some.

use super::{Cursor, Error};
use crate::session::Event;
use crate::types::{AppName, Time};

/// The feeds of a store, one for each app.
pub trait Feed {
    /// Returns the position after the newest entry, where a new reader begins.
    ///
    /// A reader that takes the position first and loads a session afterwards misses no change of it. If a part of the
    /// store does not answer, its end is not known: the cursor expires when that part answers again.
    fn feed_end(&self, app: &AppName) -> impl Future<Output = Result<Cursor, Error>> + Send;

    /// Reads the entries after a cursor. Returns at once, also if there are none.
    ///
    /// The reader has to go on from the cursor of the answer, also if there are no entries: it says which part of the
    /// store did not answer. Fails if none did.
    fn read_feed(&self, app: &AppName, cursor: &Cursor) -> impl Future<Output = Result<FeedRead, Error>> + Send;
}

/// The entries after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedRead {
    /// About two thousand entries at most, and the position after them.
    Entries(Vec<FeedEntry>, Cursor),
    /// Entries after the cursor are no longer kept, or it belongs to another feed. The reader has to begin again at the
    /// end of the feed, and to load all that it follows.
    CursorExpired,
}

/// An entry of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEntry {
    Session(Event),
    /// All sessions of the app, or of one part of it, that had been created before have ended.
    AppRevoked {
        time: Time,
    },
}
