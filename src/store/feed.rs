//! The feed: what happened to the sessions of an app, in the order it happened to each.
//!
//! A notice is written in the same step as the change that it tells of. A feed keeps the newest thousands; whoever
//! is too slow for it is told that notices were missed, never nothing.

use std::future::Future;

use super::{Cursor, Error};
use crate::app::AppName;
use crate::clock::Time;
use crate::session::Event;

/// The feed of a store.
pub trait Feed {
    /// Where the feed of an app ends now.
    fn latest(&self, app: &AppName) -> impl Future<Output = Result<Cursor, Error>> + Send;

    /// What came after the cursor; answers at once.
    fn since(&self, app: &AppName, cursor: &Cursor) -> impl Future<Output = Result<Since, Error>> + Send;
}

/// What came after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// These, a thousand or so at most, and where to go on.
    Notices(Vec<Notice>, Cursor),
    /// Some that are kept no longer, or the cursor is of another feed: what is known has to be looked up again.
    Missed,
}

/// What a feed tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Of one session.
    Session(Event),
    /// Of all: every session created before has ended.
    AppRevoked {
        /// When.
        time: Time,
    },
}
