//! The index in the file: one row for each entry, by subject and session.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition};

use super::tables::{Tables, TablesError};
use crate::store::encoding::{
    decode_index_entry, decode_revocation, encode_index_entry, encode_revocation, subject_hash,
};
use crate::store::{INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::Time;

impl Tables<'_> {
    /// See [`crate::store::Index::add_to_index`].
    pub(super) fn add_to_index(
        &mut self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> Result<Vec<IndexEntry>, TablesError> {
        let key = key(subject_ref, entry.id);
        self.remove_row(&key)?;
        self.dirty = true;
        self.index.insert(key.as_slice(), encode_index_entry(entry).as_slice())?;
        self.index_expiries.insert(expiry_key(entry.until, &key).as_slice(), [].as_slice())?;
        self.sample(subject_ref, entry.id)
    }

    /// Returns the entries after `id`, and then those from the first one on; none if the subject has few entries.
    ///
    /// That is a random sample, because ids are random.
    fn sample(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<Vec<IndexEntry>, TablesError> {
        let (first, own, last) = (first(subject_ref), key(subject_ref, id), last(subject_ref));
        let all = self.index.range::<&[u8]>(first.as_slice()..=last.as_slice())?;
        if all.take(INDEX_CLEANUP_MIN + 1).count() <= INDEX_CLEANUP_MIN {
            return Ok(Vec::new());
        }
        let after = self.index.range::<&[u8]>(own.as_slice()..=last.as_slice())?;
        let before = self.index.range::<&[u8]>(first.as_slice()..own.as_slice())?;
        let mut others = Vec::with_capacity(INDEX_SAMPLE);
        for row in after.chain(before) {
            let (key, times) = row?;
            let other = decode_index_entry(&key.value()[HASH_BYTES..], times.value()).ok_or(TablesError::Corrupt)?;
            if other.id != id {
                others.push(other);
            }
            if others.len() == INDEX_SAMPLE {
                break;
            }
        }
        Ok(others)
    }

    /// See [`crate::store::Index::remove_from_index`].
    pub(super) fn remove_from_index(
        &mut self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> Result<(), TablesError> {
        let key = key(subject_ref, entry.id);
        let is_same = self.index.get(key.as_slice())?.is_some_and(|times| times.value() == encode_index_entry(entry));
        if is_same {
            self.remove_row(&key)?;
        }
        Ok(())
    }

    /// See [`crate::store::Index::remove_session_from_index`].
    pub(super) fn remove_session_from_index(
        &mut self,
        subject_ref: &SubjectRef,
        id: SessionId,
    ) -> Result<(), TablesError> {
        self.remove_row(&key(subject_ref, id))
    }

    /// Removes an entry, and the row with its expiry.
    fn remove_row(&mut self, key: &[u8]) -> Result<(), TablesError> {
        let Some(times) = self.index.remove(key)?.map(|times| times.value().to_vec()) else { return Ok(()) };
        self.dirty = true;
        let entry = decode_index_entry(&key[HASH_BYTES..], &times).ok_or(TablesError::Corrupt)?;
        self.index_expiries.remove(expiry_key(entry.until, key).as_slice())?;
        Ok(())
    }

    /// See [`crate::store::Index::record_revocation`].
    pub(super) fn record_revocation(
        &mut self,
        subject_ref: &SubjectRef,
        revocation: &Revocation,
    ) -> Result<(), TablesError> {
        self.dirty = true;
        let key = subject_hash(subject_ref);
        let before = self.index.insert(key.as_slice(), encode_revocation(revocation).as_slice())?;
        let before = before.and_then(|bytes| decode_revocation(bytes.value()));
        if let Some(before) = before {
            self.index_expiries.remove(expiry_key(before.until, &key).as_slice())?;
        }
        self.index_expiries.insert(expiry_key(revocation.until, &key).as_slice(), [].as_slice())?;
        Ok(())
    }

    /// Removes up to `most` expired entries and revocations. Returns whether there may be more.
    pub(super) fn sweep_index(&mut self, now: Time, most: usize) -> Result<bool, TablesError> {
        let after = (now.millis() + 1).to_be_bytes();
        let expired = self.index_expiries.range::<&[u8]>(..after.as_slice())?.take(most);
        let expired =
            expired.map(|row| row.map(|(expiry_key, _)| expiry_key.value().to_vec())).collect::<Result<Vec<_>, _>>()?;
        for expiry_key in &expired {
            self.dirty = true;
            self.index_expiries.remove(expiry_key.as_slice())?;
            let (_, key) = expiry_key.split_first_chunk::<8>().ok_or(TablesError::Corrupt)?;
            let until = self.index.get(key)?.and_then(|times| match &key[HASH_BYTES..] {
                [] => Some(decode_revocation(times.value())?.until),
                id => Some(decode_index_entry(id, times.value())?.until),
            });
            // The entry may have been replaced since then. It expires later then, and has another row for that.
            if until.is_some_and(|until| until <= now) {
                self.index.remove(key)?;
            }
        }
        Ok(expired.len() == most)
    }
}

/// See [`crate::store::Index::list_index`].
pub(super) fn list_index(reading: &ReadTransaction, subject_ref: &SubjectRef) -> Result<Vec<IndexEntry>, TablesError> {
    let index = reading.open_table(INDEX)?;
    let (first, last) = (first(subject_ref), last(subject_ref));
    let mut entries = Vec::new();
    for row in index.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
        let (key, times) = row?;
        entries.push(decode_index_entry(&key.value()[HASH_BYTES..], times.value()).ok_or(TablesError::Corrupt)?);
    }
    Ok(entries)
}

/// See [`crate::store::Index::load_revocation`].
pub(super) fn load_revocation(
    reading: &ReadTransaction,
    subject_ref: &SubjectRef,
) -> Result<Option<Revocation>, TablesError> {
    let revocation = reading.open_table(INDEX)?.get(subject_hash(subject_ref).as_slice())?;
    revocation.map(|bytes| decode_revocation(bytes.value()).ok_or(TablesError::Corrupt)).transpose()
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

fn expiry_key(until: Time, key: &[u8]) -> Vec<u8> {
    [&until.millis().to_be_bytes(), key].concat()
}

/// From the hash of app and subject, and the session's id, to the entry's times; from the hash alone to the revocation.
pub(super) const INDEX: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index");

/// The expiry of each row of [`INDEX`]: its time in eight bytes, and its key. Exactly one for each row; no value.
pub(super) const INDEX_EXPIRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index_ends");

/// The length of the hash of app and subject.
const HASH_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::{Embedded, Settings};
    use super::*;
    use crate::session::Subject;
    use crate::store::Index as _;
    use crate::types::AppName;

    #[tokio::test]
    async fn a_removed_or_replaced_entry_leaves_no_expiry() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let subject_ref =
            SubjectRef { app: AppName::parse("default").unwrap(), subject: Subject::parse("anna").unwrap() };
        let entry = |n, until| IndexEntry {
            id: SessionId::from_bytes([n; 16]),
            add_time: Time::default(),
            until: Time::from_millis(until),
        };
        let [removed, ended, replaced] = [entry(1, 10), entry(2, 10), entry(3, 20)];

        for entry in [removed, ended, entry(3, 10), replaced] {
            store.add_to_index(&subject_ref, &entry).await.unwrap();
        }
        store.remove_from_index(&subject_ref, &removed).await.unwrap();
        store.remove_session_from_index(&subject_ref, ended.id).await.unwrap();

        let ends =
            store.file.read(|reading| Ok(reading.open_table(INDEX_EXPIRIES)?.range::<&[u8]>(..)?.count())).unwrap();
        assert_eq!((store.list_index(&subject_ref).await.unwrap(), ends), (vec![replaced], 1));
    }
}
