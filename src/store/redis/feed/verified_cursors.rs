//! Cursors whose last entries are known to be in the streams still.
//!
//! A primary that takes the place of another one may have other entries in the same numbers. Only a new connection
//! leads to it, so what was read since the last one was opened is still there. Connections of other workers may lead to the
//! old primary for up to a second after that; what is read by them meanwhile is not found out.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use parking_lot::Mutex;

use crate::store::Cursor;

/// The cursors that were read or given out since the last connection was opened.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct VerifiedCursors(Mutex<Verified>);

#[derive(Debug, Default)]
struct Verified {
    /// How many connections had been opened.
    opened: u64,
    digests: HashSet<u64>,
}

impl VerifiedCursors {
    /// Whether this cursor was given out after so many connections.
    pub(in crate::store::redis) fn contains(&self, cursor: &Cursor, opened: u64) -> bool {
        let verified = self.0.lock();
        verified.opened == opened && verified.digests.contains(&digest(cursor))
    }

    /// Notes a cursor that was read when so many connections had been opened.
    pub(in crate::store::redis) fn add(&self, cursor: &Cursor, opened: u64) {
        let mut verified = self.0.lock();
        if opened < verified.opened {
            return;
        }
        // A cursor that is forgotten costs its reader one more look at each stream.
        if opened > verified.opened || verified.digests.len() == MOST {
            *verified = Verified { opened, digests: HashSet::new() };
        }
        verified.digests.insert(digest(cursor));
    }
}

fn digest(cursor: &Cursor) -> u64 {
    let mut hasher = DefaultHasher::new();
    cursor.0.hash(&mut hasher);
    hasher.finish()
}

/// Far more than there are readers at once.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_verified_until_a_connection_is_opened() {
        let (verified, cursor) = (VerifiedCursors::default(), Cursor(vec![1]));
        assert!(!verified.contains(&cursor, 0));

        verified.add(&cursor, 1);

        assert!(verified.contains(&cursor, 1) && !verified.contains(&cursor, 2));
        assert!(!verified.contains(&Cursor(vec![2]), 1));
        verified.add(&Cursor(vec![2]), 2);
        verified.add(&cursor, 1);
        assert!(!verified.contains(&cursor, 2));
    }
}
