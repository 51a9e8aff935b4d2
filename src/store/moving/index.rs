//! The index of both stores.
//!
//! An entry is added to both, so that a session is found wherever it is now, by replicas that know both stores and by
//! those that know one. The same entry may be listed twice.

use super::Moving;
use super::cursor::ListPosition;
use crate::store::{Cursor, Error, Index, IndexEntry, IndexPage, Revocation, SubjectRef};
use crate::token::SessionId;

impl Index for Moving {
    async fn add_to_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        let offered = match self.old.add_to_index(subject_ref, entry).await {
            // The new store has the session or gets it, and every replica knows that store.
            Err(Error::Full(_)) if self.creates_in_new() => Vec::new(),
            offered => offered?,
        };
        let others = self.new.add_to_index(subject_ref, entry).await?;
        Ok(if offered.is_empty() { others } else { offered })
    }

    async fn remove_from_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        self.old.remove_from_index(subject_ref, entry).await?;
        self.new.remove_from_index(subject_ref, entry).await
    }

    async fn remove_session_from_index(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), Error> {
        self.old.remove_session_from_index(subject_ref, id).await?;
        self.new.remove_session_from_index(subject_ref, id).await
    }

    async fn list_index(&self, subject_ref: &SubjectRef, from: &Cursor) -> Result<IndexPage, Error> {
        let mut position = ListPosition::parse(from);
        let mut page = match &position {
            ListPosition::Old(from) => self.old.list_index(subject_ref, from).await?,
            ListPosition::New(from) => self.new.list_index(subject_ref, from).await?,
        };
        // Most subjects have one page in each store, and most entries are in both.
        if position == ListPosition::Old(Cursor::default()) && page.next.is_none() {
            position = ListPosition::New(Cursor::default());
            let of_new = self.new.list_index(subject_ref, &Cursor::default()).await?;
            let mut both: Vec<IndexEntry> = page.entries.into_iter().chain(of_new.entries).collect();
            // The latest of each session.
            both.sort_unstable_by(|one, other| other.cmp(one));
            both.dedup_by_key(|entry| entry.id);
            page = IndexPage { entries: both, next: of_new.next };
        }
        Ok(IndexPage { next: position.after(page.next), ..page })
    }

    async fn has_more_entries(&self, subject_ref: &SubjectRef, count: usize) -> Result<bool, Error> {
        Ok(self.old.has_more_entries(subject_ref, count).await?
            || self.new.has_more_entries(subject_ref, count).await?)
    }

    async fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        let old = self.old.record_revocation(subject_ref, revocation).await;
        self.new.record_revocation(subject_ref, revocation).await?;
        old
    }

    async fn load_revocation(&self, subject_ref: &SubjectRef) -> Result<Option<Revocation>, Error> {
        let found = [self.old.load_revocation(subject_ref).await?, self.new.load_revocation(subject_ref).await?];
        Ok(found.into_iter().flatten().max_by_key(|revocation| revocation.time))
    }
}
