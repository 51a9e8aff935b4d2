//! The edit: makes the new record of a session after a save, a rotation or an end that the judge allowed.
//!
//! Pure: an edit that fails changes nothing.

use std::collections::BTreeMap;

use super::changes::{AuthenticationChange, Changes, PermanentChange, SubjectChange};
use super::effect::WriteEffect;
use super::end::{End, EndReason};
use super::entries::Entries;
use super::head::{Head, Record};
use super::idempotency::IdempotencyRecord;
use super::judge::Precondition;
use super::lifetime::{LifetimeLimits, NewLifetime, set_lifetime};
use super::previous_token::PreviousToken;
use super::request_context::RequestContext;
use super::subject::Subject;
use super::value::{Value, counter};
use crate::token::VerifierHash;
use crate::types::Time;

/// The work of a save or a rotation.
#[derive(Clone, Debug)]
pub struct Edit {
    /// `None` if the call only rotates; the version stays then.
    pub changes: Option<Changes>,
    /// The lifetime that the changes request, if any.
    pub lifetime: Option<NewLifetime>,
    pub lifetime_limits: LifetimeLimits,
    pub rotation: Rotation,
    pub when_empty: WhenEmpty,
    pub limits: Limits,
    /// Where the user's request came from, if the frontend sent it.
    pub context: Option<RequestContext>,
}

/// Whether an edit replaces the token.
#[derive(Clone, Debug)]
pub enum Rotation {
    Keep,
    /// Replaces the token if the subject changes or is removed.
    OnSubjectChange(Replacement),
    Always(Replacement),
}

impl Rotation {
    /// The token that may become the current one.
    pub const fn replacement(&self) -> Option<&Replacement> {
        match self {
            Self::Keep => None,
            Self::OnSubjectChange(replacement) | Self::Always(replacement) => Some(replacement),
        }
    }
}

/// The token that replaces the current one.
#[derive(Clone, Copy, Debug)]
pub struct Replacement {
    pub verifier_hash: VerifierHash,
    /// The replaced token, as the record remembers it.
    pub previous: PreviousToken,
}

/// The policy for a session that a save leaves without entries and without `permanent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// The session ends, as in Flask.
    Delete,
    Keep,
}

/// How large a session may be. A save that does not make it larger is never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_entries: u32,
    /// The most bytes of names and stored values together.
    pub max_bytes: u32,
}

/// The new values of the incremented entries.
pub type Counters = BTreeMap<String, i64>;

/// The result of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The head after the write, as [`Head::public_view()`] has it.
    pub head: Head,
    pub effect: WriteEffect,
    /// The new values of the counters that the write incremented.
    pub counters: Counters,
    /// The session's subject before the write.
    pub subject_before: Option<Subject>,
}

/// Why an edit is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The changes say that the subject authenticated, but the session has none.
    NoSubject,
    TooManyEntries {
        count: u32,
    },
    TooLarge {
        bytes: u32,
    },
    /// The entry is not a counter, or the sum is outside the range of int64.
    NotACounter {
        name: String,
    },
}

/// Returns the record after the edit.
pub fn edit(record: &Record, edit: &Edit, precondition: &Precondition) -> Result<(Record, Done), EditError> {
    let mut head = record.head.clone();
    let subject = edit.changes.as_ref().map_or_else(|| head.subject.clone(), |changes| subject_after(&head, changes));
    // Another subject must not get the entries of the one before.
    let replaces_subject = head.subject.is_some() && subject.is_some() && head.subject != subject;
    let clears = replaces_subject || edit.changes.as_ref().is_some_and(|changes| changes.clear);
    let (entries, counters) = match &edit.changes {
        None => (record.entries.clone(), Counters::new()),
        Some(changes) => {
            if changes.authentication == AuthenticationChange::Now && subject.is_none() {
                return Err(EditError::NoSubject);
            }
            let (entries, counters) = entries_after(record, changes, clears)?;
            change_head(&mut head, changes, clears, precondition.now);
            (entries, counters)
        }
    };
    (head.entry_count, head.entry_bytes) = entries.sizes();
    check_limits(&record.head, &head, edit.limits)?;
    let is_empty = head.entry_count == 0 && subject.is_none() && head.permanent.is_none();
    if edit.changes.is_some() && is_empty && edit.when_empty == WhenEmpty::Delete {
        let (record, done) = end(&Record { head, entries }, EndReason::Emptied, precondition);
        return Ok((record, Done { counters, ..done }));
    }
    match edit.rotation {
        Rotation::Always(replacement) => replace_token(&mut head, replacement),
        Rotation::OnSubjectChange(replacement) if subject != head.subject => replace_token(&mut head, replacement),
        Rotation::OnSubjectChange(_) | Rotation::Keep => {}
    }
    set_lifetime(&mut head, subject.as_ref(), clears, edit.lifetime, edit.lifetime_limits, precondition.now);
    head.subject = subject;
    if let Some(context) = &edit.context {
        head.context = context.clone();
    }
    head.access_time = head.access_time.max(precondition.now);
    remember(&mut head, precondition, WriteEffect::Updated);
    let subject_before = record.head.subject.clone();
    let done = Done { head: head.public_view(), effect: WriteEffect::Updated, counters, subject_before };
    Ok((Record { head, entries }, done))
}

/// Returns the tombstone of `record`: the reason of its end, the verifier hashes and the idempotency records.
pub fn end(record: &Record, reason: EndReason, precondition: &Precondition) -> (Record, Done) {
    let mut head = Head {
        end: Some(End { reason, time: precondition.now }),
        subject: None,
        permanent: None,
        authenticate_time: None,
        entry_count: 0,
        entry_bytes: 0,
        context: RequestContext::default(),
        ..record.head.clone()
    };
    let effect = WriteEffect::Deleted;
    remember(&mut head, precondition, effect);
    let subject_before = record.head.subject.clone();
    let done = Done { head: head.public_view(), effect, counters: Counters::new(), subject_before };
    (Record { head, entries: Entries::default() }, done)
}

fn subject_after(head: &Head, changes: &Changes) -> Option<Subject> {
    match &changes.subject {
        SubjectChange::Keep if changes.clear => None,
        SubjectChange::Keep => head.subject.clone(),
        SubjectChange::Set(subject) => Some(subject.clone()),
        SubjectChange::Remove => None,
    }
}

fn entries_after(record: &Record, changes: &Changes, clears: bool) -> Result<(Entries, Counters), EditError> {
    let increment = |name: &String, delta: i64, before: Option<&[u8]>| {
        let before = before.map_or(Some(0), counter);
        let after = before.and_then(|before| before.checked_add(delta));
        after.ok_or_else(|| EditError::NotACounter { name: name.clone() })
    };
    let mut entries = if clears { BTreeMap::new() } else { record.entries.to_map() };
    let counters = changes.increment.iter();
    let counters =
        counters.map(|(name, delta)| Ok((name.clone(), increment(name, *delta, entries.get(name.as_str()).copied())?)));
    let counters = counters.collect::<Result<Counters, EditError>>()?;
    let counted: Vec<(&str, Value)> = counters.iter().map(|(name, n)| (name.as_str(), Value::counter(*n))).collect();

    for name in &changes.unset {
        entries.remove(name.as_str());
    }
    entries.extend(changes.set.iter().map(|(name, value)| (name.as_str(), value.stored())));
    entries.extend(counted.iter().map(|(name, value)| (*name, value.stored())));
    Ok((Entries::pack(entries.iter().map(|(name, value)| (*name, *value))), counters))
}

/// Applies the changes to the head, except for subject and sizes.
fn change_head(head: &mut Head, changes: &Changes, clears: bool, now: Time) {
    let is_other = changes.new_subject() != head.subject.as_ref();
    let authenticates = changes.authentication != AuthenticationChange::IfOtherSubject || is_other;
    head.version = head.version.next();
    if clears {
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
        SubjectChange::Set(_) if !authenticates => {}
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

fn replace_token(head: &mut Head, Replacement { verifier_hash, previous }: Replacement) {
    // A call with an older token in its grace period gets its next token when it is repeated. A logout with the token
    // that was current has to end the session all the same.
    let current = Some(head.verifier_hash).filter(|current| *current != previous.verifier_hash);
    head.previous = Some(Box::new(PreviousToken { current, ..previous }));
    head.verifier_hash = verifier_hash;
}

fn remember(head: &mut Head, precondition: &Precondition, effect: WriteEffect) {
    if let Some(fingerprint) = precondition.fingerprint {
        head.idempotency.push(IdempotencyRecord { fingerprint, time: precondition.now, effect });
    }
}
