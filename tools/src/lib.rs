//! Fills a store of Cloakroom with realistic sessions, and writes requests that use them.
//!
//! For load tests: deploy/load/README.md says how to use it.

mod fill;
mod progress;
mod requests;
mod sample;

use std::time::Duration;

use cloakroom::types::AppName;

pub use fill::{FillError, StoredSession, fill};
pub use progress::Progress;
pub use requests::{Sampling, write};

/// The sessions to create.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The app that they belong to.
    pub app: String,
    /// The number of sessions.
    pub count: usize,
    /// The median size of a session: the bytes of its names and values.
    pub median_bytes: u32,
    /// The number of entries in each session, at least 1.
    pub entries: u32,
    /// The number of users. 0: all sessions are anonymous.
    pub subjects: u32,
    /// How long ago the oldest session was created. `None`: as long ago as the app allows.
    pub age: Option<Duration>,
    /// The seed of the random generator.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            app: AppName::DEFAULT.to_owned(),
            count: 1000,
            median_bytes: MEDIAN_BYTES,
            entries: ENTRIES,
            subjects: 333,
            age: None,
            seed: 1,
        }
    }
}

/// The usual size of a shop's session.
pub const MEDIAN_BYTES: u32 = 1600;

/// The usual number of entries in a shop's session.
pub const ENTRIES: u32 = 6;
