//! The index in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;

use crate::store::{INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::Time;

/// The index entries and revocations of all subjects.
#[derive(Debug, Default)]
pub(super) struct SubjectIndex {
    entries: Mutex<HashMap<SubjectRef, Vec<IndexEntry>>>,
    revocations: Mutex<HashMap<SubjectRef, Revocation>>,
}

impl SubjectIndex {
    pub(super) fn add(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Vec<IndexEntry> {
        let mut all = self.entries.lock();
        let entries = all.entry(subject_ref.clone()).or_default();
        entries.retain(|other| other.id != entry.id);
        let others = if entries.len() < INDEX_CLEANUP_MIN { Vec::new() } else { sample(entries, entry.id) };
        entries.push(*entry);
        others
    }

    pub(super) fn remove(&self, subject_ref: &SubjectRef, entry: &IndexEntry) {
        self.retain(subject_ref, |other| other != entry);
    }

    pub(super) fn remove_session(&self, subject_ref: &SubjectRef, id: SessionId) {
        self.retain(subject_ref, |entry| entry.id != id);
    }

    pub(super) fn list(&self, subject_ref: &SubjectRef) -> Vec<IndexEntry> {
        self.entries.lock().get(subject_ref).cloned().unwrap_or_default()
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
        self.entries.lock().retain(|_, entries| {
            entries.retain(|entry| now < entry.until);
            !entries.is_empty()
        });
    }

    fn retain(&self, subject_ref: &SubjectRef, stays: impl Fn(&IndexEntry) -> bool) {
        if let Entry::Occupied(mut entries) = self.entries.lock().entry(subject_ref.clone()) {
            entries.get_mut().retain(stays);
            if entries.get().is_empty() {
                entries.remove();
            }
        }
    }
}

/// Returns neighbouring entries from a random position: ids are random.
fn sample(entries: &[IndexEntry], id: SessionId) -> Vec<IndexEntry> {
    let first = usize::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]])) % entries.len();
    entries.iter().cycle().skip(first).take(INDEX_SAMPLE).copied().collect()
}
