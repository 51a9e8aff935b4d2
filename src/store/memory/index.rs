//! The index in memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::ops::Bound;

use parking_lot::Mutex;

use crate::store::encoding::subject_hash;
use crate::store::transfer::{RevocationPage, SubjectRevocation};
use crate::store::{Cursor, INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, IndexPage, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// The index entries and revocations of all subjects.
#[derive(Debug, Default)]
pub(super) struct SubjectIndex {
    entries: Mutex<IndexEntries>,
    /// By the hash of app and subject, so that they can be listed page by page.
    revocations: Mutex<BTreeMap<[u8; 16], (AppName, Revocation)>>,
}

#[derive(Debug, Default)]
struct IndexEntries {
    by_subject: HashMap<SubjectRef, BTreeMap<SessionId, IndexEntry>>,
    /// One row for each entry, so that a sweep finds those that have expired.
    expiries: BTreeSet<(Time, SubjectRef, SessionId)>,
}

impl IndexEntries {
    /// Removes the entry of a session, if it is one of these.
    fn remove_if(&mut self, subject_ref: &SubjectRef, id: SessionId, condition: impl Fn(&IndexEntry) -> bool) {
        let Entry::Occupied(mut entries) = self.by_subject.entry(subject_ref.clone()) else { return };
        if let Some(removed) = entries.get_mut().extract_if(id..=id, |_, entry| condition(entry)).next() {
            self.expiries.remove(&(removed.1.until, subject_ref.clone(), id));
        }
        if entries.get().is_empty() {
            entries.remove();
        }
    }
}

impl SubjectIndex {
    pub(super) fn add(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Vec<IndexEntry> {
        let mut all = self.entries.lock();
        all.remove_if(subject_ref, entry.id, |_| true);
        all.expiries.insert((entry.until, subject_ref.clone(), entry.id));
        let entries = all.by_subject.entry(subject_ref.clone()).or_default();
        let others = if entries.len() < INDEX_CLEANUP_MIN { Vec::new() } else { sample(entries, entry.id) };
        entries.insert(entry.id, *entry);
        others
    }

    pub(super) fn remove(&self, subject_ref: &SubjectRef, entry: &IndexEntry) {
        self.entries.lock().remove_if(subject_ref, entry.id, |stored| stored == entry);
    }

    pub(super) fn remove_session(&self, subject_ref: &SubjectRef, id: SessionId) {
        self.entries.lock().remove_if(subject_ref, id, |_| true);
    }

    /// Removes the entry of a session that is purged now, unless a login has added another one meanwhile.
    pub(super) fn remove_purged(&self, subject_ref: &SubjectRef, id: SessionId, now: Time) {
        self.entries.lock().remove_if(subject_ref, id, |entry| entry.is_of_purged(now));
    }

    pub(super) fn list(&self, subject_ref: &SubjectRef, from: &Cursor) -> IndexPage {
        let all = self.entries.lock();
        let Some(entries) = all.by_subject.get(subject_ref) else { return IndexPage::default() };
        let first = IndexPage::first_id(from).map_or(Bound::Unbounded, Bound::Included);
        let rest = entries.range((first, Bound::Unbounded)).map(|(_, entry)| Ok::<_, Infallible>(*entry));
        IndexPage::of_sorted(rest).unwrap_or_else(|never| match never {})
    }

    pub(super) fn has_more(&self, subject_ref: &SubjectRef, count: usize) -> bool {
        self.entries.lock().by_subject.get(subject_ref).is_some_and(|entries| entries.len() > count)
    }

    pub(super) fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) {
        self.revocations.lock().insert(subject_hash(subject_ref), (subject_ref.app.clone(), *revocation));
    }

    pub(super) fn load_revocation(&self, subject_ref: &SubjectRef) -> Option<Revocation> {
        self.revocations.lock().get(&subject_hash(subject_ref)).map(|(_, revocation)| *revocation)
    }

    /// See [`crate::store::ExportSource::list_revocations`].
    pub(super) fn list_revocations(&self, from: &Cursor) -> RevocationPage {
        let revocations = self.revocations.lock();
        let first = <[u8; 16]>::try_from(from.0.as_slice()).unwrap_or_default();
        let mut rest = revocations.range(first..);
        let page = rest.by_ref().take(REVOCATION_PAGE).map(|(subject_hash, (app, revocation))| SubjectRevocation {
            app: Some(app.clone()),
            subject_hash: *subject_hash,
            revocation: *revocation,
        });
        let revocations = page.collect();
        let next = rest.next().map(|(subject_hash, _)| Cursor(subject_hash.to_vec()));
        RevocationPage { revocations, next, ..RevocationPage::default() }
    }

    /// Removes expired entries and revocations.
    pub(super) fn sweep(&self, now: Time) {
        self.revocations.lock().retain(|_, (_, revocation)| now < revocation.until);
        let mut entries = self.entries.lock();
        while entries.expiries.first().is_some_and(|(until, ..)| *until <= now)
            && let Some((until, subject_ref, id)) = entries.expiries.pop_first()
        {
            entries.remove_if(&subject_ref, id, |entry| entry.until == until);
        }
    }
}

/// Returns the entries after `id`, and then those from the first one on. That is a random sample: ids are random.
fn sample(entries: &BTreeMap<SessionId, IndexEntry>, id: SessionId) -> Vec<IndexEntry> {
    entries.range(id..).chain(entries.range(..id)).map(|(_, entry)| *entry).take(INDEX_SAMPLE).collect()
}

/// How many revocations are listed at once, so that no other call waits for long.
const REVOCATION_PAGE: usize = 1000;
