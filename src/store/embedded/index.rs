//! The index on disk: an entry a row, by owner and id.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition};

use super::tables::{Fault, Tables};
use crate::clock::Time;
use crate::store::packed::{owner_hash, pack_entry, pack_revocation, unpack_entry, unpack_revocation};
use crate::store::{Entry, FEW, GLIMPSE, Owner, Revocation};
use crate::token::Id;

impl Tables<'_> {
    /// See [`crate::store::Index::enter`].
    pub(super) fn enter(&mut self, owner: &Owner, entry: &Entry) -> Result<Vec<Entry>, Fault> {
        let key = key(owner, entry.id);
        self.take_out(&key)?;
        self.dirty = true;
        self.index.insert(key.as_slice(), pack_entry(entry).as_slice())?;
        self.index_ends.insert(due(entry.until, &key).as_slice(), [].as_slice())?;
        self.others(owner, entry.id)
    }

    /// Some behind an id, or from the first one on; none if there are few. An id is as good as a die.
    fn others(&self, owner: &Owner, id: Id) -> Result<Vec<Entry>, Fault> {
        let (first, here, last) = (first(owner), key(owner, id), last(owner));
        if self.index.range::<&[u8]>(first.as_slice()..=last.as_slice())?.take(FEW + 1).count() <= FEW {
            return Ok(Vec::new());
        }
        let behind = self.index.range::<&[u8]>(here.as_slice()..=last.as_slice())?;
        let before = self.index.range::<&[u8]>(first.as_slice()..here.as_slice())?;
        let mut others = Vec::with_capacity(GLIMPSE);
        for row in behind.chain(before) {
            let (key, times) = row?;
            let other = unpack_entry(&key.value()[OWNER_BYTES..], times.value()).ok_or(Fault::Corrupt)?;
            if other.id != id {
                others.push(other);
            }
            if others.len() == GLIMPSE {
                break;
            }
        }
        Ok(others)
    }

    /// See [`crate::store::Index::leave`].
    pub(super) fn leave(&mut self, owner: &Owner, entry: &Entry) -> Result<(), Fault> {
        let key = key(owner, entry.id);
        let is_same = self.index.get(key.as_slice())?.is_some_and(|times| times.value() == pack_entry(entry));
        if is_same {
            self.take_out(&key)?;
        }
        Ok(())
    }

    /// See [`crate::store::Index::forget`].
    pub(super) fn forget_entry(&mut self, owner: &Owner, id: Id) -> Result<(), Fault> {
        self.take_out(&key(owner, id))
    }

    /// Takes out an entry with the row that says when it ends.
    fn take_out(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some(times) = self.index.remove(key)?.map(|times| times.value().to_vec()) else { return Ok(()) };
        self.dirty = true;
        let entry = unpack_entry(&key[OWNER_BYTES..], &times).ok_or(Fault::Corrupt)?;
        self.index_ends.remove(due(entry.until, key).as_slice())?;
        Ok(())
    }

    /// See [`crate::store::Index::revoke`].
    pub(super) fn revoke(&mut self, owner: &Owner, revocation: &Revocation) -> Result<(), Fault> {
        self.dirty = true;
        let key = owner_hash(owner);
        let before = self.index.insert(key.as_slice(), pack_revocation(revocation).as_slice())?;
        let before = before.and_then(|bytes| unpack_revocation(bytes.value()));
        if let Some(before) = before {
            self.index_ends.remove(due(before.until, &key).as_slice())?;
        }
        self.index_ends.insert(due(revocation.until, &key).as_slice(), [].as_slice())?;
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
    let (first, last) = (first(owner), last(owner));
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

fn first(owner: &Owner) -> Vec<u8> {
    key(owner, Id::from_bytes([0; 16]))
}

fn last(owner: &Owner) -> Vec<u8> {
    key(owner, Id::from_bytes([0xff; 16]))
}

fn due(until: Time, key: &[u8]) -> Vec<u8> {
    [&until.millis().to_be_bytes(), key].concat()
}

/// By a hash of app and subject, and id: when it was entered and until when. By the hash alone: its revocation.
pub(super) const INDEX: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index");

/// When which entry ends: time in eight bytes, then its key. A row for each entry, and no other.
pub(super) const INDEX_ENDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index_ends");

const OWNER_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::{Embedded, Settings};
    use super::*;
    use crate::app::AppName;
    use crate::session::Subject;
    use crate::store::Index as _;

    #[tokio::test]
    async fn an_entry_that_is_gone_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let owner = Owner { app: AppName::parse("default").unwrap(), subject: Subject::parse("anna").unwrap() };
        let entry =
            |n, until| Entry { id: Id::from_bytes([n; 16]), entered: Time::default(), until: Time::from_millis(until) };
        let [left, forgotten, stays] = [entry(1, 10), entry(2, 10), entry(3, 20)];

        for entry in [left, forgotten, entry(3, 10), stays] {
            store.enter(&owner, &entry).await.unwrap();
        }
        store.leave(&owner, &left).await.unwrap();
        store.forget(&owner, forgotten.id).await.unwrap();

        let ends = store.file.read(|reading| Ok(reading.open_table(INDEX_ENDS)?.range::<&[u8]>(..)?.count())).unwrap();
        assert_eq!((store.entries(&owner).await.unwrap(), ends), (vec![stays], 1));
    }
}
