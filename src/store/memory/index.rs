//! The index in memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::store::{INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::Time;

/// The index entries and revocations of all subjects.
#[derive(Debug, Default)]
pub(super) struct SubjectIndex {
    entries: Mutex<Entries>,
    revocations: Mutex<HashMap<SubjectRef, Revocation>>,
}

#[derive(Debug, Default)]
struct Entries {
    by_subject: HashMap<SubjectRef, Vec<IndexEntry>>,
    /// One row for each entry, so that a sweep finds those that have expired.
    expiries: BTreeSet<(Time, SubjectRef, SessionId)>,
}

impl Entries {
    /// Removes the entries of a subject that do not stay.
    fn retain(&mut self, subject_ref: &SubjectRef, stays: impl Fn(&IndexEntry) -> bool) {
        let Entry::Occupied(mut entries) = self.by_subject.entry(subject_ref.clone()) else { return };
        for removed in entries.get_mut().extract_if(.., |entry| !stays(entry)) {
            self.expiries.remove(&(removed.until, subject_ref.clone(), removed.id));
        }
        if entries.get().is_empty() {
            entries.remove();
        }
    }
}

impl SubjectIndex {
    pub(super) fn add(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Vec<IndexEntry> {
        let mut all = self.entries.lock();
        all.retain(subject_ref, |other| other.id != entry.id);
        all.expiries.insert((entry.until, subject_ref.clone(), entry.id));
        let entries = all.by_subject.entry(subject_ref.clone()).or_default();
        let others = if entries.len() < INDEX_CLEANUP_MIN { Vec::new() } else { sample(entries, entry.id) };
        entries.push(*entry);
        others
    }

    pub(super) fn remove(&self, subject_ref: &SubjectRef, entry: &IndexEntry) {
        self.entries.lock().retain(subject_ref, |other| other != entry);
    }

    pub(super) fn remove_session(&self, subject_ref: &SubjectRef, id: SessionId) {
        self.entries.lock().retain(subject_ref, |entry| entry.id != id);
    }

    pub(super) fn list(&self, subject_ref: &SubjectRef) -> Vec<IndexEntry> {
        self.entries.lock().by_subject.get(subject_ref).cloned().unwrap_or_default()
    }

    pub(super) fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) {
        self.revocations.lock().insert(subject_ref.clone(), *revocation);
    }

    pub(super) fn load_revocation(&self, subject_ref: &SubjectRef) -> Option<Revocation> {
        self.revocations.lock().get(subject_ref).copied()
    }

    /// Removes expired entries and revocations.
    pub(super) fn sweep(&self, now: Time) {
        self.revocations.lock().retain(|_, revocation| now < revocation.until);
        let mut entries = self.entries.lock();
        while entries.expiries.first().is_some_and(|(until, ..)| *until <= now)
            && let Some((until, subject_ref, id)) = entries.expiries.pop_first()
        {
            entries.retain(&subject_ref, |entry| (entry.id, entry.until) != (id, until));
        }
    }
}

/// Returns neighbouring entries from a random position: ids are random.
fn sample(entries: &[IndexEntry], id: SessionId) -> Vec<IndexEntry> {
    let first = usize::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]])) % entries.len();
    entries.iter().cycle().skip(first).take(INDEX_SAMPLE).copied().collect()
}
