//! The index on disk: an entry a row, by owner and id.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition};

use super::tables::{Fault, Tables};
use crate::store::packed::{owner_hash, pack_entry, unpack_entry};
use crate::store::{Entry, Owner};
use crate::token::Id;

impl Tables<'_> {
    /// See [`crate::store::Index::enter`].
    pub(super) fn enter(&mut self, owner: &Owner, entry: &Entry) -> Result<(), Fault> {
        self.dirty = true;
        self.index.insert(key(owner, entry.id).as_slice(), pack_entry(entry).as_slice())?;
        Ok(())
    }

    /// See [`crate::store::Index::leave`].
    pub(super) fn leave(&mut self, owner: &Owner, entry: &Entry) -> Result<(), Fault> {
        let key = key(owner, entry.id);
        let is_same = self.index.get(key.as_slice())?.is_some_and(|times| times.value() == pack_entry(entry));
        if is_same {
            self.dirty = true;
            self.index.remove(key.as_slice())?;
        }
        Ok(())
    }

    /// See [`crate::store::Index::forget`].
    pub(super) fn forget_entry(&mut self, owner: &Owner, id: Id) -> Result<(), Fault> {
        let was_there = self.index.remove(key(owner, id).as_slice())?.is_some();
        self.dirty |= was_there;
        Ok(())
    }
}

/// See [`crate::store::Index::entries`].
pub(super) fn entries(reading: &ReadTransaction, owner: &Owner) -> Result<Vec<Entry>, Fault> {
    let index = reading.open_table(INDEX)?;
    let (first, last) = (key(owner, Id::from_bytes([0; 16])), key(owner, Id::from_bytes([0xff; 16])));
    let rows = index.range::<&[u8]>(first.as_slice()..=last.as_slice())?;
    let mut entries = Vec::new();
    for row in rows {
        let (key, times) = row?;
        entries.push(unpack_entry(&key.value()[OWNER_BYTES..], times.value()).ok_or(Fault::Corrupt)?);
    }
    Ok(entries)
}

fn key(owner: &Owner, id: Id) -> Vec<u8> {
    [owner_hash(owner), *id.as_bytes()].concat()
}

/// By a hash of app and subject, and id: when it was entered and until when.
pub(super) const INDEX: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index");

const OWNER_BYTES: usize = 16;
