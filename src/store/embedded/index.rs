//! The index in the file: one row for each entry, by subject and session.

use std::ops::Bound;

use super::rows::{KeyRange, RowsError, Table, View};
use super::tables::{TIME_BYTES, Tables};
use crate::store::encoding::{
    decode_index_entry, decode_revocation, encode_index_entry, encode_revocation, subject_hash,
};
use crate::store::{Cursor, INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, IndexPage, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::Time;

impl Tables<'_> {
    /// See [`crate::store::Index::add_to_index`].
    pub(super) fn add_to_index(
        &mut self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> Result<Vec<IndexEntry>, RowsError> {
        let key = key(subject_ref, entry.id);
        self.remove_row(&key)?;
        self.insert(Table::Index, &key, &encode_index_entry(entry));
        self.insert(Table::IndexExpiries, &expiry_key(entry.until, &key), &[]);
        self.sample(subject_ref, entry.id)
    }

    /// Returns the entries after `id`, and then those from the first one on; none if the subject has few entries.
    ///
    /// That is a random sample, because ids are random.
    fn sample(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<Vec<IndexEntry>, RowsError> {
        let (first, own, last) = (first(subject_ref), key(subject_ref, id), last(subject_ref));
        let all = self.view().range(Table::Index, inclusive(&first, &last))?;
        if all.take(INDEX_CLEANUP_MIN + 1).count() <= INDEX_CLEANUP_MIN {
            return Ok(Vec::new());
        }
        let after = self.view().range(Table::Index, inclusive(&own, &last))?;
        let before = self.view().range(Table::Index, (Bound::Included(&first), Bound::Excluded(&own)))?;
        let mut others = Vec::with_capacity(INDEX_SAMPLE);
        for row in after.chain(before) {
            let (key, times) = row?;
            let other = decode_index_entry(&key[HASH_BYTES..], &times).ok_or(RowsError::Corrupt)?;
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
    pub(super) fn remove_from_index(&mut self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), RowsError> {
        let key = key(subject_ref, entry.id);
        let is_same = self.get(Table::Index, &key)?.is_some_and(|times| *times == encode_index_entry(entry));
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
    ) -> Result<(), RowsError> {
        self.remove_row(&key(subject_ref, id))
    }

    /// Removes the entry of a session that is purged now, unless a login has added another one meanwhile.
    pub(super) fn remove_purged_from_index(
        &mut self,
        subject_ref: &SubjectRef,
        id: SessionId,
        now: Time,
    ) -> Result<(), RowsError> {
        let key = key(subject_ref, id);
        let entry = self.get(Table::Index, &key)?.and_then(|times| decode_index_entry(&key[HASH_BYTES..], &times));
        if entry.is_none_or(|entry| entry.is_of_purged(now)) { self.remove_row(&key) } else { Ok(()) }
    }

    /// Removes an entry, and the row with its expiry.
    fn remove_row(&mut self, key: &[u8]) -> Result<(), RowsError> {
        let Some(times) = self.get(Table::Index, key)? else { return Ok(()) };
        let entry = decode_index_entry(&key[HASH_BYTES..], &times).ok_or(RowsError::Corrupt)?;
        self.remove(Table::Index, key);
        self.remove(Table::IndexExpiries, &expiry_key(entry.until, key));
        Ok(())
    }

    /// See [`crate::store::Index::record_revocation`].
    pub(super) fn record_revocation(
        &mut self,
        subject_ref: &SubjectRef,
        revocation: &Revocation,
    ) -> Result<(), RowsError> {
        self.replace_revocation(&subject_hash(subject_ref), revocation)
    }

    pub(super) fn replace_revocation(&mut self, key: &[u8], revocation: &Revocation) -> Result<(), RowsError> {
        let before = self.get(Table::Index, key)?.and_then(|bytes| decode_revocation(&bytes));
        if let Some(before) = before {
            self.remove(Table::IndexExpiries, &expiry_key(before.until, key));
        }
        self.insert(Table::Index, key, &encode_revocation(revocation));
        self.insert(Table::IndexExpiries, &expiry_key(revocation.until, key), &[]);
        Ok(())
    }

    /// Removes some of the expired entries and revocations. Returns whether there may be more.
    pub(super) fn sweep_index(&mut self, now: Time) -> Result<bool, RowsError> {
        self.for_each_due(Table::IndexExpiries, now, |tables, expiry_key| tables.remove_expired(expiry_key, now))
    }

    /// Removes a row of [`Table::IndexExpiries`], and its entry or revocation if that has expired.
    fn remove_expired(&mut self, expiry_key: &[u8], now: Time) -> Result<(), RowsError> {
        let (_, key) = expiry_key.split_first_chunk::<TIME_BYTES>().ok_or(RowsError::Corrupt)?;
        let until = self.get(Table::Index, key)?.and_then(|times| match &key[HASH_BYTES..] {
            [] => Some(decode_revocation(&times)?.until),
            id => Some(decode_index_entry(id, &times)?.until),
        });
        // The entry may have been replaced since then. It expires later then, and has another row for that.
        if until.is_some_and(|until| until <= now) {
            self.remove(Table::Index, key);
        }
        self.remove(Table::IndexExpiries, expiry_key);
        Ok(())
    }
}

/// See [`crate::store::Index::list_index`].
pub(super) fn list_index(view: &View<'_>, subject_ref: &SubjectRef, from: &Cursor) -> Result<IndexPage, RowsError> {
    let first = IndexPage::first_id(from).map_or_else(|| first(subject_ref), |id| key(subject_ref, id));
    let last = last(subject_ref);
    IndexPage::of_sorted(view.range(Table::Index, inclusive(&first, &last))?.map(|row| {
        let (key, times) = row?;
        decode_index_entry(&key[HASH_BYTES..], &times).ok_or(RowsError::Corrupt)
    }))
}

/// See [`crate::store::Index::has_more_entries`].
pub(super) fn has_more_entries(view: &View<'_>, subject_ref: &SubjectRef, count: usize) -> Result<bool, RowsError> {
    let (first, last) = (first(subject_ref), last(subject_ref));
    Ok(view.range(Table::Index, inclusive(&first, &last))?.nth(count).transpose()?.is_some())
}

/// See [`crate::store::Index::load_revocation`].
pub(super) fn load_revocation(view: &View<'_>, subject_ref: &SubjectRef) -> Result<Option<Revocation>, RowsError> {
    let revocation = view.get(Table::Index, &subject_hash(subject_ref))?;
    revocation.map(|bytes| decode_revocation(&bytes).ok_or(RowsError::Corrupt)).transpose()
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

fn inclusive<'k>(first: &'k [u8], last: &'k [u8]) -> KeyRange<'k> {
    (Bound::Included(first), Bound::Included(last))
}

/// The length of the hash of app and subject.
pub(super) const HASH_BYTES: usize = 16;

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

        let all = (Bound::Unbounded, Bound::Unbounded);
        let ends = store.shared.read(|view| Ok(view.range(Table::IndexExpiries, all)?.count())).unwrap();
        assert_eq!(
            (store.list_index(&subject_ref, &Cursor::default()).await.unwrap().entries, ends),
            (vec![replaced], 1)
        );
    }
}
