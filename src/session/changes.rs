//! What one request did to its session, checked and in one canonical order.
//!
//! Aliases are resolved here: `_permanent`, Flask's entry, never reaches a store, and an app's subject
//! entry sets the subject.

use std::collections::BTreeMap;
use std::time::Duration;

use super::head::{Subject, SubjectError};
use super::value::{Value, ValueKind};
use crate::types::Time;

/// The longest name of an entry.
pub const MAX_NAME_BYTES: usize = 256;

/// The most names in one save: enough to unset the largest session and set another one.
const MAX_NAMES: usize = 8192;

/// Flask's entry for [`Changes::permanent`].
pub const PERMANENT: &str = "_permanent";

/// What one request did, applied in this order: clear, unset, set, increment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Removes all entries, permanent, subject and authentication time.
    pub clear: bool,
    /// Names to remove, each once, sorted.
    pub unset: Vec<String>,
    /// Entries to put in place.
    pub set: BTreeMap<String, Value>,
    /// What to add to counters.
    pub increment: BTreeMap<String, i64>,
    /// Flask's `_permanent`.
    pub permanent: PermanentChange,
    /// Whose session it is.
    pub subject: SubjectChange,
    /// Whether its subject has just authenticated again.
    pub authentication: AuthenticationChange,
    /// How long it lives from now on.
    pub lifetime: LifetimeChange,
}

/// What happens to Flask's `_permanent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PermanentChange {
    /// Nothing.
    #[default]
    Keep,
    /// It is this from now on.
    Set(bool),
    /// It goes.
    Unset,
}

/// What happens to the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubjectChange {
    /// Nothing.
    #[default]
    Keep,
    /// It is this from now on.
    Set(Subject),
    /// It goes.
    Remove,
}

/// What happens to the time of authentication, besides what a change of subject does to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthenticationChange {
    /// Nothing.
    #[default]
    Keep,
    /// It is now: the subject has just authenticated again. Only a session with a subject can say so.
    Now,
}

/// What happens to the session's lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeChange {
    /// Nothing.
    #[default]
    Keep,
    /// It ends when it has not been used for this long.
    Idle(Duration),
    /// It ends at this time.
    Until(Time),
    /// Back to the app's own.
    Default,
}

impl Changes {
    /// Checks names, resolves aliases and brings all into canonical order.
    pub fn check(mut self, subject_key: Option<&str>) -> Result<Self, ChangesError> {
        self.check_count()?;
        self.unset.sort_unstable();
        self.unset.dedup();
        self.check_names()?;
        self.resolve_permanent()?;
        if let Some(key) = subject_key {
            self.resolve_subject(key)?;
        }
        Ok(self)
    }

    /// Whether Flask's `_permanent` may be another afterwards.
    pub fn touches_permanent(&self) -> bool {
        let alias = self.unset.iter().any(|name| name == PERMANENT) || self.set.contains_key(PERMANENT);
        self.clear || alias || self.permanent != PermanentChange::Keep
    }

    /// One spelling of all of it: equal changes are equal bytes, others are not.
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
        match &self.subject {
            SubjectChange::Keep => {}
            SubjectChange::Set(subject) => add(b'o', subject.as_str().as_bytes()),
            SubjectChange::Remove => add(b'o', &[]),
        }
        match self.authentication {
            AuthenticationChange::Keep => {}
            AuthenticationChange::Now => add(b'a', &[]),
        }
        match self.lifetime {
            LifetimeChange::Keep => {}
            LifetimeChange::Idle(span) => add(b'l', &span.as_millis().to_be_bytes()),
            LifetimeChange::Until(time) => add(b't', &time.millis().to_be_bytes()),
            LifetimeChange::Default => add(b'l', &[]),
        }
        bytes
    }

    /// Stores look every name up in one step, in which nobody else is served.
    fn check_count(&self) -> Result<(), ChangesError> {
        let count = self.unset.len() + self.set.len() + self.increment.len();
        if count > MAX_NAMES { Err(ChangesError::TooMany { count }) } else { Ok(()) }
    }

    fn check_names(&self) -> Result<(), ChangesError> {
        let names = || self.unset.iter().chain(self.set.keys()).chain(self.increment.keys());
        if let Some(name) = names().find(|name| !(1..=MAX_NAME_BYTES).contains(&name.len())) {
            return Err(ChangesError::Name { bytes: name.len() });
        }
        let repeated = self.increment.keys().find(|name| self.set.contains_key(*name));
        let repeated = repeated.or_else(|| self.unset.iter().find(|name| self.changes(name)));
        repeated.map_or(Ok(()), |name| Err(ChangesError::Repeated { name: name.clone() }))
    }

    fn changes(&self, name: &str) -> bool {
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

    fn resolve_subject(&mut self, key: &str) -> Result<(), ChangesError> {
        if self.increment.contains_key(key) {
            return Err(ChangesError::Subject(SubjectError));
        }
        let alias = match self.set.get(key) {
            Some(value) => subject_of(value.stored())?.map_or(SubjectChange::Remove, SubjectChange::Set),
            None if self.unset.iter().any(|name| name == key) => SubjectChange::Remove,
            None => SubjectChange::Keep,
        };
        match (&self.subject, alias) {
            (_, SubjectChange::Keep) => {}
            (SubjectChange::Keep, alias) => self.subject = alias,
            (field, alias) if *field == alias => {}
            _ => return Err(ChangesError::Repeated { name: key.to_owned() }),
        }
        Ok(())
    }
}

/// What is wrong with changes, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangesError {
    /// Too many names at once.
    #[error("the changes name {count} entries; the limit is {MAX_NAMES}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A name too short or too long.
    #[error("an entry's name has {bytes} bytes; it needs 1 to 256")]
    Name {
        /// How many it has.
        bytes: usize,
    },
    /// One name, two changes.
    #[error("`{name}` is changed in two ways at once; keep one of unset, set, increment and its own field")]
    Repeated {
        /// Which.
        name: String,
    },
    /// `_permanent` is something else.
    #[error("the entry `_permanent` has to be the JSON true or false")]
    Permanent,
    /// The app's subject entry is none.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

/// The subject that a kept value stands for, if it stands for one: a string as it is, an integer as its decimal digits.
pub fn subject_of(stored: &[u8]) -> Result<Option<Subject>, SubjectError> {
    let Some(ValueKind::Json(text)) = ValueKind::decode(stored) else { return Err(SubjectError) };
    let subject = match serde_json::from_str(text).map_err(|_| SubjectError)? {
        serde_json::Value::Null => return Ok(None),
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return Err(SubjectError),
    };
    if subject.is_empty() { Ok(None) } else { Subject::parse(&subject).map(Some) }
}
