//! The index in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use parking_lot::Mutex;

use crate::store::{INDEX_CLEANUP_MIN, INDEX_SAMPLE, IndexEntry, Revocation, SubjectRef};
use crate::token::SessionId;
use crate::types::Time;

/// The entries of all owners.
#[derive(Debug, Default)]
pub(super) struct SubjectEntries {
    owners: Mutex<HashMap<SubjectRef, Vec<IndexEntry>>>,
    revocations: Mutex<HashMap<SubjectRef, Revocation>>,
}

impl SubjectEntries {
    pub(super) fn add(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Vec<IndexEntry> {
        let mut owners = self.owners.lock();
        let entries = owners.entry(subject_ref.clone()).or_default();
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

    pub(super) fn of(&self, subject_ref: &SubjectRef) -> Vec<IndexEntry> {
        self.owners.lock().get(subject_ref).cloned().unwrap_or_default()
    }

    pub(super) fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) {
        self.revocations.lock().insert(subject_ref.clone(), *revocation);
    }

    pub(super) fn load_revocation(&self, subject_ref: &SubjectRef) -> Option<Revocation> {
        self.revocations.lock().get(subject_ref).copied()
    }

    /// Takes out what has ended by itself.
    pub(super) fn sweep(&self, now: Time) {
        self.revocations.lock().retain(|_, revocation| now < revocation.until);
        self.owners.lock().retain(|_, entries| {
            entries.retain(|entry| now < entry.until);
            !entries.is_empty()
        });
    }

    fn retain(&self, subject_ref: &SubjectRef, stays: impl Fn(&IndexEntry) -> bool) {
        if let Slot::Occupied(mut slot) = self.owners.lock().entry(subject_ref.clone()) {
            slot.get_mut().retain(stays);
            if slot.get().is_empty() {
                slot.remove();
            }
        }
    }
}

/// A few that lie together, anywhere: an id is as good as a die.
fn sample(entries: &[IndexEntry], id: SessionId) -> Vec<IndexEntry> {
    let from = usize::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]])) % entries.len();
    entries.iter().cycle().skip(from).take(INDEX_SAMPLE).copied().collect()
}
