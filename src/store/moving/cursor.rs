//! Cursors of two stores as one.

use crate::store::Cursor;

/// A position in a list that has the old store's part first, then the new one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListPosition {
    Old(Cursor),
    New(Cursor),
}

impl ListPosition {
    /// Reads a cursor; one of another store is the begin.
    pub(super) fn parse(cursor: &Cursor) -> Self {
        match cursor.0.split_first() {
            Some((&OLD, rest)) => Self::Old(Cursor(rest.to_vec())),
            Some((&NEW, rest)) => Self::New(Cursor(rest.to_vec())),
            _ => Self::Old(Cursor::default()),
        }
    }

    /// Returns the cursor of where a list goes on; `None` at its end.
    pub(super) fn after(&self, next: Option<Cursor>) -> Option<Cursor> {
        let (store, Cursor(rest)) = match (self, next) {
            (Self::Old(_), Some(next)) => (OLD, next),
            (Self::Old(_), None) => (NEW, Cursor::default()),
            (Self::New(_), next) => (NEW, next?),
        };
        Some(Cursor([&[store], rest.as_slice()].concat()))
    }
}

/// Joins a position in each of the stores.
pub(super) fn join(old: &Cursor, new: &Cursor) -> Cursor {
    let length = u32::try_from(old.0.len()).unwrap_or(u32::MAX).to_be_bytes();
    Cursor([length.as_slice(), &old.0, &new.0].concat())
}

/// Takes a joined cursor apart; `None`: it is none.
pub(super) fn split(cursor: &Cursor) -> Option<(Cursor, Cursor)> {
    let (length, rest) = cursor.0.split_first_chunk()?;
    let (old, new) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((Cursor(old.to_vec()), Cursor(new.to_vec())))
}

const OLD: u8 = 1;
const NEW: u8 = 2;
