//! The index on disk: an entry a row, by owner and id.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition};

use super::tables::{Fault, Tables};
use crate::clock::Time;
use crate::store::packed::{owner_hash, pack_entry, pack_revocation, unpack_entry, unpack_revocation};
use crate::store::{Entry, Owner, Revocation};
use crate::token::Id;

impl Tables<'_> {
    /// See [`crate::store::Index::enter`].
    pub(super) fn enter(&mut self, owner: &Owner, entry: &Entry) -> Result<(), Fault> {
        self.dirty = true;
        let key = key(owner, entry.id);
        self.index.insert(key.as_slice(), pack_entry(entry).as_slice())?;
        let due = [&entry.until.millis().to_be_bytes(), key.as_slice()].concat();
        self.index_ends.insert(due.as_slice(), [].as_slice())?;
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

    /// See [`crate::store::Index::revoke`].
    pub(super) fn revoke(&mut self, owner: &Owner, revocation: &Revocation) -> Result<(), Fault> {
        self.dirty = true;
        let key = owner_hash(owner);
        self.index.insert(key.as_slice(), pack_revocation(revocation).as_slice())?;
        let due = [revocation.until.millis().to_be_bytes().as_slice(), &key].concat();
        self.index_ends.insert(due.as_slice(), [].as_slice())?;
        Ok(())
    }

    /// Takes out some of the entries that have ended by themselves; answers whether it stopped before the last one.
    pub(super) fn sweep_entries(&mut self, now: Time, most: usize) -> Result<bool, Fault> {
        let after = (now.millis() + 1).to_be_bytes();
        let due = self.index_ends.range::<&[u8]>(..after.as_slice())?.take(most);
        let due = due.map(|row| row.map(|(due, _)| due.value().to_vec())).collect::<Result<Vec<_>, _>>()?;
        for due in &due {
            self.dirty = true;
            self.index_ends.remove(due.as_slice())?;
            let (_, key) = due.split_first_chunk::<8>().ok_or(Fault::Corrupt)?;
            let until = self.index.get(key)?.and_then(|times| match &key[OWNER_BYTES..] {
                [] => Some(unpack_revocation(times.value())?.until),
                id => Some(unpack_entry(id, times.value())?.until),
            });
            // One that was entered again since ends later, and has a row for that.
            if until.is_some_and(|until| until <= now) {
                self.index.remove(key)?;
            }
        }
        Ok(due.len() == most)
    }
}

/// See [`crate::store::Index::entries`].
pub(super) fn entries(reading: &ReadTransaction, owner: &Owner) -> Result<Vec<Entry>, Fault> {
    let index = reading.open_table(INDEX)?;
    let (first, last) = (key(owner, Id::from_bytes([0; 16])), key(owner, Id::from_bytes([0xff; 16])));
    let mut entries = Vec::new();
    for row in index.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
        let (key, times) = row?;
        entries.push(unpack_entry(&key.value()[OWNER_BYTES..], times.value()).ok_or(Fault::Corrupt)?);
    }
    Ok(entries)
}

/// See [`crate::store::Index::revocation`].
pub(super) fn revocation(reading: &ReadTransaction, owner: &Owner) -> Result<Option<Revocation>, Fault> {
    let kept = reading.open_table(INDEX)?.get(owner_hash(owner).as_slice())?;
    kept.map(|bytes| unpack_revocation(bytes.value()).ok_or(Fault::Corrupt)).transpose()
}

fn key(owner: &Owner, id: Id) -> Vec<u8> {
    [owner_hash(owner), *id.as_bytes()].concat()
}

/// By a hash of app and subject, and id: when it was entered and until when. By the hash alone: its revocation.
pub(super) const INDEX: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index");

/// When which entry may end: time in eight bytes, then its key. A row for each time that it was entered.
pub(super) const INDEX_ENDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index_ends");

const OWNER_BYTES: usize = 16;
