//! The changes that one request makes to its session, checked and in canonical order.
//!
//! Aliases are resolved here: Flask's entry `_permanent` never reaches a store, and an app's subject entry sets the
//! subject.

use std::collections::BTreeMap;
use std::time::Duration;

use super::subject::{Subject, SubjectError};
use super::subject_key::SubjectKey;
use super::value::Value;
use crate::types::Time;

/// The longest name of an entry.
pub const MAX_NAME_BYTES: usize = 256;

/// The most names in one save: enough to unset the largest session and set another one.
const MAX_NAMES: usize = 8192;

/// Flask's entry for [`Changes::permanent`].
pub const PERMANENT: &str = "_permanent";

/// The changes of one request, applied in this order: clear, unset, set, increment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Removes all entries, permanent, subject and authentication time.
    pub clear: bool,
    /// The names of entries to remove; after [`Self::check`] sorted and each once.
    pub unset: Vec<String>,
    /// The entries to set.
    pub set: BTreeMap<String, Value>,
    /// The numbers to add to counters.
    pub increment: BTreeMap<String, i64>,
    pub permanent: PermanentChange,
    pub subject: SubjectChange,
    pub authentication: AuthenticationChange,
    pub lifetime: LifetimeChange,
}

/// A change of Flask's `_permanent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PermanentChange {
    #[default]
    Keep,
    Set(bool),
    Unset,
}

/// A change of the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubjectChange {
    #[default]
    Keep,
    Set(Subject),
    Remove,
}

/// A change of the time of authentication, besides the one that a change of subject makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthenticationChange {
    #[default]
    Keep,
    /// The subject has just authenticated again. Refused for a session without a subject.
    Now,
    /// The change of subject is one of a part of an entry: the subject that the session has already did not authenticate.
    IfOtherSubject,
}

/// A change of the session's lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeChange {
    #[default]
    Keep,
    /// The session ends when it has not been used for this long.
    Idle(Duration),
    /// The session ends at this time.
    Until(Time),
    /// The session gets the app's lifetimes.
    Default,
}

impl Changes {
    /// Checks the names, resolves aliases and sorts.
    pub fn check(mut self, subject_key: Option<&SubjectKey>) -> Result<Self, ChangesError> {
        let count = self.unset.len() + self.set.len() + self.increment.len();
        // A store looks all names up in one step that blocks other calls.
        if count > MAX_NAMES {
            return Err(ChangesError::TooMany { count });
        }
        self.unset.sort_unstable();
        self.unset.dedup();
        self.check_names()?;
        self.resolve_permanent()?;
        if let Some(key) = subject_key {
            self.resolve_subject(key)?;
        }
        Ok(self)
    }

    /// The subject that the changes set, once they are checked; `None`: they remove it, or leave it alone.
    pub const fn new_subject(&self) -> Option<&Subject> {
        match &self.subject {
            SubjectChange::Set(subject) => Some(subject),
            SubjectChange::Keep | SubjectChange::Remove => None,
        }
    }

    /// Whether the changes, once checked, may change Flask's `_permanent`.
    pub fn touches_permanent(&self) -> bool {
        self.clear || self.permanent != PermanentChange::Keep
    }

    /// Writes the changes in a canonical form: the bytes are equal exactly if the changes are.
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        let mut add = |tag: u8, part: &[u8]| {
            bytes.push(tag);
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        add(b'c', &[u8::from(self.clear)]);
        self.unset.iter().for_each(|name| add(b'u', name.as_bytes()));
        for (name, value) in &self.set {
            add(b's', name.as_bytes());
            add(b'v', value.stored());
        }
        for (name, delta) in &self.increment {
            add(b'i', name.as_bytes());
            add(b'd', &delta.to_be_bytes());
        }
        match self.permanent {
            PermanentChange::Keep => {}
            PermanentChange::Set(permanent) => add(b'p', &[u8::from(permanent)]),
            PermanentChange::Unset => add(b'p', &[]),
        }
        // The tags only have to differ. They cannot change, because idempotency records have their hash.
        match &self.subject {
            SubjectChange::Keep => {}
            SubjectChange::Set(subject) => add(b'o', subject.as_str().as_bytes()),
            SubjectChange::Remove => add(b'o', &[]),
        }
        match self.authentication {
            AuthenticationChange::Keep | AuthenticationChange::IfOtherSubject => {}
            AuthenticationChange::Now => add(b'a', &[]),
        }
        match self.lifetime {
            LifetimeChange::Keep => {}
            LifetimeChange::Idle(timeout) => add(b'l', &timeout.as_millis().to_be_bytes()),
            LifetimeChange::Until(time) => add(b't', &time.millis().to_be_bytes()),
            LifetimeChange::Default => add(b'l', &[]),
        }
        bytes
    }

    fn check_names(&self) -> Result<(), ChangesError> {
        let names = || self.unset.iter().chain(self.set.keys()).chain(self.increment.keys());
        if let Some(name) = names().find(|name| !(1..=MAX_NAME_BYTES).contains(&name.len())) {
            return Err(ChangesError::Name { bytes: name.len() });
        }
        let repeated = self.increment.keys().find(|name| self.set.contains_key(*name));
        let repeated = repeated.or_else(|| self.unset.iter().find(|name| self.writes(name)));
        repeated.map_or(Ok(()), |name| Err(ChangesError::Repeated { name: name.clone() }))
    }

    fn writes(&self, name: &str) -> bool {
        self.set.contains_key(name) || self.increment.contains_key(name)
    }

    fn resolve_permanent(&mut self) -> Result<(), ChangesError> {
        if self.increment.contains_key(PERMANENT) {
            return Err(ChangesError::Permanent);
        }
        let alias = match self.set.remove(PERMANENT).map(|value| value.stored().trim_ascii().to_vec()) {
            None => PermanentChange::Keep,
            Some(text) if text == b"true" => PermanentChange::Set(true),
            Some(text) if text == b"false" => PermanentChange::Set(false),
            Some(_) => return Err(ChangesError::Permanent),
        };
        let unset = self.unset.iter().position(|name| name == PERMANENT).map(|n| self.unset.remove(n));
        let alias = if unset.is_some() { PermanentChange::Unset } else { alias };
        match (self.permanent, alias) {
            (_, PermanentChange::Keep) => {}
            (PermanentChange::Keep, alias) => self.permanent = alias,
            (field, alias) if field == alias => {}
            _ => return Err(ChangesError::Repeated { name: PERMANENT.to_owned() }),
        }
        Ok(())
    }

    fn resolve_subject(&mut self, key: &SubjectKey) -> Result<(), ChangesError> {
        match (&self.subject, key.subject_change(self)?) {
            (_, SubjectChange::Keep) => {}
            (SubjectChange::Keep, alias) => {
                self.subject = alias;
                // A new display name beside the user's id is no login.
                let is_part = self.new_subject().is_some() && !self.set.contains_key(key.as_str());
                if is_part && !self.clear && self.authentication == AuthenticationChange::Keep {
                    self.authentication = AuthenticationChange::IfOtherSubject;
                }
            }
            (field, alias) if *field == alias => {}
            _ => return Err(ChangesError::Repeated { name: key.as_str().to_owned() }),
        }
        Ok(())
    }
}

/// Why changes are not accepted, and what is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangesError {
    #[error("the changes name {count} entries; the limit is {MAX_NAMES}")]
    TooMany { count: usize },
    #[error("an entry's name has {bytes} bytes; it needs 1 to 256")]
    Name { bytes: usize },
    #[error("`{name}` is changed in two ways at once; keep one of unset, set, increment and its own field")]
    Repeated { name: String },
    #[error("the entry `_permanent` has to be the JSON true or false")]
    Permanent,
    #[error(transparent)]
    Subject(#[from] SubjectError),
}
