//! The index on disk: an entry a row, by owner and id.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition};

use super::tables::{Tables, TablesError};
use crate::store::encoding::{pack_entry, pack_revocation, subject_hash, unpack_entry, unpack_revocation};
use crate::store::{INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::Time;

impl Tables<'_> {
    /// See [`crate::store::Index::enter`].
    pub(super) fn enter(
        &mut self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> Result<Vec<IndexEntry>, TablesError> {
        let key = key(subject_ref, entry.id);
        self.take_out(&key)?;
        self.dirty = true;
        self.index.insert(key.as_slice(), pack_entry(entry).as_slice())?;
        self.index_ends.insert(due(entry.until, &key).as_slice(), [].as_slice())?;
        self.others(subject_ref, entry.id)
    }

    /// Some behind an id, or from the first one on; none if there are few. An id is as good as a die.
    fn others(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<Vec<IndexEntry>, TablesError> {
        let (first, here, last) = (first(subject_ref), key(subject_ref, id), last(subject_ref));
        if self.index.range::<&[u8]>(first.as_slice()..=last.as_slice())?.take(INDEX_CLEANUP_MIN + 1).count()
            <= INDEX_CLEANUP_MIN
        {
            return Ok(Vec::new());
        }
        let behind = self.index.range::<&[u8]>(here.as_slice()..=last.as_slice())?;
        let before = self.index.range::<&[u8]>(first.as_slice()..here.as_slice())?;
        let mut others = Vec::with_capacity(INDEX_SAMPLE);
        for row in behind.chain(before) {
            let (key, times) = row?;
            let other = unpack_entry(&key.value()[OWNER_BYTES..], times.value()).ok_or(TablesError::Corrupt)?;
            if other.id != id {
                others.push(other);
            }
            if others.len() == INDEX_SAMPLE {
                break;
            }
        }
        Ok(others)
    }

    /// See [`crate::store::Index::leave`].
    pub(super) fn leave(&mut self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), TablesError> {
        let key = key(subject_ref, entry.id);
        let is_same = self.index.get(key.as_slice())?.is_some_and(|times| times.value() == pack_entry(entry));
        if is_same {
            self.take_out(&key)?;
        }
        Ok(())
    }

    /// See [`crate::store::Index::forget`].
    pub(super) fn forget_entry(&mut self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), TablesError> {
        self.take_out(&key(subject_ref, id))
    }

    /// Takes out an entry with the row that says when it ends.
    fn take_out(&mut self, key: &[u8]) -> Result<(), TablesError> {
        let Some(times) = self.index.remove(key)?.map(|times| times.value().to_vec()) else { return Ok(()) };
        self.dirty = true;
        let entry = unpack_entry(&key[OWNER_BYTES..], &times).ok_or(TablesError::Corrupt)?;
        self.index_ends.remove(due(entry.until, key).as_slice())?;
        Ok(())
    }

    /// See [`crate::store::Index::revoke`].
    pub(super) fn revoke(&mut self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), TablesError> {
        self.dirty = true;
        let key = subject_hash(subject_ref);
        let before = self.index.insert(key.as_slice(), pack_revocation(revocation).as_slice())?;
        let before = before.and_then(|bytes| unpack_revocation(bytes.value()));
        if let Some(before) = before {
            self.index_ends.remove(due(before.until, &key).as_slice())?;
        }
        self.index_ends.insert(due(revocation.until, &key).as_slice(), [].as_slice())?;
        Ok(())
    }

    /// Takes out some of the entries that have ended by themselves; answers whether it stopped before the last one.
    pub(super) fn sweep_entries(&mut self, now: Time, most: usize) -> Result<bool, TablesError> {
        let after = (now.millis() + 1).to_be_bytes();
        let due = self.index_ends.range::<&[u8]>(..after.as_slice())?.take(most);
        let due = due.map(|row| row.map(|(due, _)| due.value().to_vec())).collect::<Result<Vec<_>, _>>()?;
        for due in &due {
            self.dirty = true;
            self.index_ends.remove(due.as_slice())?;
            let (_, key) = due.split_first_chunk::<8>().ok_or(TablesError::Corrupt)?;
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
pub(super) fn entries(reading: &ReadTransaction, subject_ref: &SubjectRef) -> Result<Vec<IndexEntry>, TablesError> {
    let index = reading.open_table(INDEX)?;
    let (first, last) = (first(subject_ref), last(subject_ref));
    let mut entries = Vec::new();
    for row in index.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
        let (key, times) = row?;
        entries.push(unpack_entry(&key.value()[OWNER_BYTES..], times.value()).ok_or(TablesError::Corrupt)?);
    }
    Ok(entries)
}

/// See [`crate::store::Index::revocation`].
pub(super) fn revocation(
    reading: &ReadTransaction,
    subject_ref: &SubjectRef,
) -> Result<Option<Revocation>, TablesError> {
    let snapshot = reading.open_table(INDEX)?.get(subject_hash(subject_ref).as_slice())?;
    snapshot.map(|bytes| unpack_revocation(bytes.value()).ok_or(TablesError::Corrupt)).transpose()
}

fn key(subject_ref: &SubjectRef, id: SessionId) -> Vec<u8> {
    [subject_hash(subject_ref), *id.as_bytes()].concat()
}

fn first(subject_ref: &SubjectRef) -> Vec<u8> {
    key(subject_ref, SessionId::from_bytes([0; 16]))
}

fn last(subject_ref: &SubjectRef) -> Vec<u8> {
    key(subject_ref, SessionId::from_bytes([0xff; 16]))
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
    use crate::session::Subject;
    use crate::store::Index as _;
    use crate::types::AppName;

    #[tokio::test]
    async fn an_entry_that_is_gone_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let subject_ref =
            SubjectRef { app: AppName::parse("default").unwrap(), subject: Subject::parse("anna").unwrap() };
        let entry = |n, until| IndexEntry {
            id: SessionId::from_bytes([n; 16]),
            entered: Time::default(),
            until: Time::from_millis(until),
        };
        let [left, forgotten, stays] = [entry(1, 10), entry(2, 10), entry(3, 20)];

        for entry in [left, forgotten, entry(3, 10), stays] {
            store.add_to_index(&subject_ref, &entry).await.unwrap();
        }
        store.remove_from_index(&subject_ref, &left).await.unwrap();
        store.remove_session_from_index(&subject_ref, forgotten.id).await.unwrap();

        let ends = store.file.read(|reading| Ok(reading.open_table(INDEX_ENDS)?.range::<&[u8]>(..)?.count())).unwrap();
        assert_eq!((store.list_index(&subject_ref).await.unwrap(), ends), (vec![stays], 1));
    }
}
