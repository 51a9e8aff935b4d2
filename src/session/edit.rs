//! The edit: what a record is after a save, a rotation or an end that the judge let go.
//!
//! Everything is checked before anything is changed: a refusal leaves no trace.

use std::collections::BTreeMap;

use super::changes::{AuthenticationChange, Changes, PermanentChange, SubjectChange};
use super::end::{End, EndReason, WriteEffect};
use super::entries::Entries;
use super::head::{Context, Head, PreviousToken, Record, Subject};
use super::idempotency::IdempotencyRecord;
use super::judge::Precondition;
use super::lifetime::{LifetimeLimits, NewLifetime, set_lifetime};
use super::value::{Value, counter};
use crate::token::VerifierHash;
use crate::types::Time;

/// What a save or a rotation is to do.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The changes; none: the call only rotates, and the version stays.
    pub changes: Option<Changes>,
    /// The lifetime that the changes ask for.
    pub lifetime: Option<NewLifetime>,
    /// What the app grants, if it grants sessions without a subject less.
    pub lifetime_limits: Option<LifetimeLimits>,
    /// What happens to the token.
    pub rotation: Rotation,
    /// What happens if no entry is left.
    pub when_empty: WhenEmpty,
    /// What the session has to keep to.
    pub limits: Limits,
    /// Where the call came from, if the frontend told it.
    pub context: Option<Context>,
}

/// What happens to the token.
#[derive(Clone, Debug)]
pub enum Rotation {
    /// Nothing.
    Keep,
    /// It is replaced if the subject becomes another, or none.
    OnSubjectChange(Replacement),
    /// It is replaced.
    Always(Replacement),
}

/// The token that takes the place of the current one.
#[derive(Clone, Copy, Debug)]
pub struct Replacement {
    /// Of its secret.
    pub verifier_hash: VerifierHash,
    /// What is remembered of the one that it replaces.
    pub previous: PreviousToken,
}

/// What happens to a session that a save leaves without entries and without `permanent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// It ends, as Flask's does.
    Delete,
    /// It stays.
    Keep,
}

/// How large a session may be. What does not grow is never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries.
    pub max_entries: u32,
    /// The most bytes of names and kept values together.
    pub max_bytes: u32,
}

/// The value of every incremented entry.
pub type Counters = BTreeMap<String, i64>;

/// What an edit makes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The record from now on.
    pub record: Record,
    /// What became of the session.
    pub effect: WriteEffect,
    /// The counters.
    pub counters: Counters,
}

/// Why an edit cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// Nobody can have authenticated, for it is nobody's session.
    NoSubject,
    /// It would have too many entries.
    TooManyEntries {
        /// How many.
        count: u32,
    },
    /// It would be too large.
    TooLarge {
        /// How many bytes.
        bytes: u32,
    },
    /// The entry is no counter, or would leave the range of int64.
    NotACounter {
        /// Which.
        name: String,
    },
}

/// What `record` is after the edit.
pub fn edit(record: &Record, edit: &Edit, precondition: &Precondition) -> Result<Edited, EditError> {
    let mut head = record.head.clone();
    let subject = edit.changes.as_ref().map_or_else(|| head.subject.clone(), |changes| subject_after(&head, changes));
    let (entries, counters) = match &edit.changes {
        None => (record.entries.clone(), Counters::new()),
        Some(changes) => {
            if changes.authentication == AuthenticationChange::Now && subject.is_none() {
                return Err(EditError::NoSubject);
            }
            let wiped = changes.clear || hands_over(head.subject.as_ref(), subject.as_ref());
            let (entries, counters) = entries_after(record, changes, wiped)?;
            change_head(&mut head, changes, wiped, precondition.now);
            (entries, counters)
        }
    };
    (head.entry_count, head.entry_bytes) = (entries.count(), entries.bytes());
    check_limits(&record.head, &head, edit.limits)?;
    let is_empty = head.entry_count == 0 && head.permanent.is_none();
    if edit.changes.is_some() && is_empty && edit.when_empty == WhenEmpty::Delete {
        let record = end(&Record { head, entries }, EndReason::Emptied, precondition);
        return Ok(Edited { record, effect: WriteEffect::Deleted, counters });
    }
    match edit.rotation {
        Rotation::Always(replacement) => replace(&mut head, replacement),
        Rotation::OnSubjectChange(replacement) if subject != head.subject => replace(&mut head, replacement),
        Rotation::OnSubjectChange(_) | Rotation::Keep => {}
    }
    set_lifetime(&mut head, subject.as_ref(), (edit.lifetime, edit.lifetime_limits), precondition.now);
    head.subject = subject;
    if let Some(context) = &edit.context {
        head.context = context.clone();
    }
    head.access_time = head.access_time.max(precondition.now);
    remember(&mut head, precondition, WriteEffect::Updated);
    Ok(Edited { record: Record { head, entries }, effect: WriteEffect::Updated, counters })
}

/// What is left of `record` after its end: a tombstone of reason, proofs and marks.
pub fn end(record: &Record, reason: EndReason, precondition: &Precondition) -> Record {
    let mut head = Head {
        end: Some(End { reason, time: precondition.now }),
        subject: None,
        permanent: None,
        authenticate_time: None,
        entry_count: 0,
        entry_bytes: 0,
        context: Context::default(),
        ..record.head.clone()
    };
    remember(&mut head, precondition, WriteEffect::Deleted);
    Record { head, entries: Entries::default() }
}

fn subject_after(head: &Head, changes: &Changes) -> Option<Subject> {
    match &changes.subject {
        SubjectChange::Keep if changes.clear => None,
        SubjectChange::Keep => head.subject.clone(),
        SubjectChange::Set(subject) => Some(subject.clone()),
        SubjectChange::Remove => None,
    }
}

/// Whether one subject gives way to another: what the first one left goes.
fn hands_over(before: Option<&Subject>, after: Option<&Subject>) -> bool {
    before.is_some() && after.is_some() && before != after
}

fn entries_after(record: &Record, changes: &Changes, wiped: bool) -> Result<(Entries, Counters), EditError> {
    let counted = |name: &String, delta: i64, before: Option<&[u8]>| {
        let before = before.map_or(Some(0), counter);
        let after = before.and_then(|before| before.checked_add(delta));
        after.ok_or_else(|| EditError::NotACounter { name: name.clone() })
    };
    let mut entries = if wiped { BTreeMap::new() } else { record.entries.to_map() };
    let counters = changes.increment.iter();
    let counters =
        counters.map(|(name, delta)| Ok((name.clone(), counted(name, *delta, entries.get(name.as_str()).copied())?)));
    let counters = counters.collect::<Result<Counters, EditError>>()?;
    let counted: Vec<(&str, Value)> = counters.iter().map(|(name, n)| (name.as_str(), Value::counter(*n))).collect();

    for name in &changes.unset {
        entries.remove(name.as_str());
    }
    entries.extend(changes.set.iter().map(|(name, value)| (name.as_str(), value.stored())));
    entries.extend(counted.iter().map(|(name, value)| (*name, value.stored())));
    Ok((Entries::pack(entries.iter().map(|(name, value)| (*name, *value))), counters))
}

/// All of the head that changes touch, but for subject and sizes.
fn change_head(head: &mut Head, changes: &Changes, wiped: bool, now: Time) {
    head.version = head.version.next();
    if wiped {
        head.permanent = None;
        head.authenticate_time = None;
    }
    match changes.permanent {
        PermanentChange::Keep => {}
        PermanentChange::Set(permanent) => head.permanent = Some(permanent),
        PermanentChange::Unset => head.permanent = None,
    }
    match changes.subject {
        SubjectChange::Keep => {}
        SubjectChange::Set(_) => head.authenticate_time = Some(now),
        SubjectChange::Remove => head.authenticate_time = None,
    }
    if changes.authentication == AuthenticationChange::Now {
        head.authenticate_time = Some(now);
    }
}

fn check_limits(before: &Head, after: &Head, limits: Limits) -> Result<(), EditError> {
    let (count, bytes) = (after.entry_count, after.entry_bytes);
    if count > limits.max_entries && count > before.entry_count {
        Err(EditError::TooManyEntries { count })
    } else if bytes > limits.max_bytes && bytes > before.entry_bytes {
        Err(EditError::TooLarge { bytes })
    } else {
        Ok(())
    }
}

fn replace(head: &mut Head, Replacement { verifier_hash, previous }: Replacement) {
    // A call with an older token in its grace is told its successor when it is repeated; a logout with the one that was
    // current has to end the session all the same.
    let current = Some(head.verifier_hash).filter(|current| *current != previous.verifier_hash);
    head.previous = Some(Box::new(PreviousToken { current, ..previous }));
    head.verifier_hash = verifier_hash;
}

fn remember(head: &mut Head, precondition: &Precondition, effect: WriteEffect) {
    if let Some(fingerprint) = precondition.fingerprint {
        head.idempotency.push(IdempotencyRecord { fingerprint, time: precondition.now, effect });
    }
}
