//! The index in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use parking_lot::Mutex;

use crate::clock::Time;
use crate::store::{Entry, FEW, GLIMPSE, Owner, Revocation};
use crate::token::Id;

/// The entries of all owners.
#[derive(Debug, Default)]
pub(super) struct Entries {
    owners: Mutex<HashMap<Owner, Vec<Entry>>>,
    revocations: Mutex<HashMap<Owner, Revocation>>,
}

impl Entries {
    pub(super) fn enter(&self, owner: &Owner, entry: &Entry) -> Vec<Entry> {
        let mut owners = self.owners.lock();
        let entries = owners.entry(owner.clone()).or_default();
        entries.retain(|other| other.id != entry.id);
        let others = if entries.len() < FEW { Vec::new() } else { glimpse(entries, entry.id) };
        entries.push(*entry);
        others
    }

    pub(super) fn leave(&self, owner: &Owner, entry: &Entry) {
        self.retain(owner, |other| other != entry);
    }

    pub(super) fn forget(&self, owner: &Owner, id: Id) {
        self.retain(owner, |entry| entry.id != id);
    }

    pub(super) fn of(&self, owner: &Owner) -> Vec<Entry> {
        self.owners.lock().get(owner).cloned().unwrap_or_default()
    }

    pub(super) fn revoke(&self, owner: &Owner, revocation: &Revocation) {
        self.revocations.lock().insert(owner.clone(), *revocation);
    }

    pub(super) fn revocation(&self, owner: &Owner) -> Option<Revocation> {
        self.revocations.lock().get(owner).copied()
    }

    /// Takes out what has ended by itself.
    pub(super) fn sweep(&self, now: Time) {
        self.revocations.lock().retain(|_, revocation| now < revocation.until);
        self.owners.lock().retain(|_, entries| {
            entries.retain(|entry| now < entry.until);
            !entries.is_empty()
        });
    }

    fn retain(&self, owner: &Owner, stays: impl Fn(&Entry) -> bool) {
        if let Slot::Occupied(mut slot) = self.owners.lock().entry(owner.clone()) {
            slot.get_mut().retain(stays);
            if slot.get().is_empty() {
                slot.remove();
            }
        }
    }
}

/// A few that lie together, anywhere: an id is as good as a die.
fn glimpse(entries: &[Entry], id: Id) -> Vec<Entry> {
    let from = usize::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]])) % entries.len();
    entries.iter().cycle().skip(from).take(GLIMPSE).copied().collect()
}
