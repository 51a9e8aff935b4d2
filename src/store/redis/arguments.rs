//! The arguments of the scripts that write to a session: one string with the call, then fields and values.
//!
//! `common.lua`, `set_entries.lua`, `edit.lua` and `end.lua` document the order.

use std::collections::BTreeMap;

use redis::Cmd;

use super::ENTRY_PREFIX;
use crate::session::{
    AuthenticationChange, Authority, Changes, Edit, EndReason, Entries, Lifetimes, NewLifetime, PermanentChange,
    Precondition, Replacement, RequestContext, Rotation, SubjectChange, Value, WhenEmpty,
};
use crate::store::encoding::{HEAD_FIELDS, encode_context, encode_permanent, encode_previous, millis, u48_be};
use crate::types::Time;

/// Returns the changes if `set_entries.lua` can make this edit: it sets entries, unsets others at most, and nothing else.
pub(super) fn changes_for_set(edit: &Edit) -> Option<&Changes> {
    let changes = edit.changes.as_ref()?;
    let Changes { clear, unset, set, increment, permanent, subject, authentication, lifetime: _ } = changes;
    let has_only_entries = !clear
        && !set.is_empty()
        && increment.is_empty()
        && *permanent == PermanentChange::Keep
        && *subject == SubjectChange::Keep
        && *authentication == AuthenticationChange::Keep;
    let keeps_token = matches!(edit.rotation, Rotation::Keep | Rotation::OnSubjectChange(_));
    let is_short = unset.len() + set.len() <= MAX_SET_NAMES;
    (has_only_entries && keeps_token && edit.lifetime.is_none() && is_short).then_some(changes)
}

/// Adds the fields of a new record: the parts of its head behind the first one, without those that are empty, and its
/// entries.
pub(super) fn push_fields(script: &mut Cmd, parts: [Vec<u8>; HEAD_FIELDS.len() - 1], entries: &Entries) {
    for (field, bytes) in HEAD_FIELDS[1..].iter().zip(parts).filter(|(_, bytes)| !bytes.is_empty()) {
        script.arg(&[*field]).arg(bytes);
    }
    for (name, value) in entries.iter() {
        script.arg(entry_field(name)).arg(value);
    }
}

pub(super) fn push_set(
    script: &mut Cmd,
    precondition: &Precondition,
    edit: &Edit,
    changes: &Changes,
    generation: Option<u32>,
) {
    let mut call = ByteWriter::begin_call(precondition);
    call.u32(edit.limits.max_entries).u32(edit.limits.max_bytes);
    call.bytes16(&optional_context(edit.context.as_ref())).u16(changes.unset.len());
    if let Some(generation) = generation {
        call.u32(generation);
    }
    script.arg(call.0);
    push_names(script, &changes.unset);
    push_entries(script, &changes.set);
}

pub(super) fn push_edit(script: &mut Cmd, precondition: &Precondition, edit: &Edit) {
    let none = Changes::default();
    let changes = edit.changes.as_ref().unwrap_or(&none);
    let mut call = ByteWriter::begin_call(precondition);
    call.u8(match &edit.changes {
        None => b'-',
        Some(changes) if changes.clear => b'c',
        Some(_) => b's',
    });
    call.u8(match changes.permanent {
        PermanentChange::Keep => 3,
        PermanentChange::Set(permanent) => encode_permanent(Some(permanent)),
        PermanentChange::Unset => encode_permanent(None),
    });
    call.u8(match edit.when_empty {
        WhenEmpty::Delete => b'd',
        WhenEmpty::Keep => b'k',
    });
    call.u8(match changes.authentication {
        AuthenticationChange::Keep => b'-',
        AuthenticationChange::Now => b'n',
        AuthenticationChange::IfOtherSubject => b'o',
    });
    call.u32(edit.limits.max_entries).u32(edit.limits.max_bytes);
    match &changes.subject {
        SubjectChange::Keep => call.bytes16(b""),
        SubjectChange::Remove => call.bytes16(b"-"),
        SubjectChange::Set(subject) => call.bytes16(&prefixed(b"=", &[subject.as_str().as_bytes()])),
    };
    call.bytes8(&edit.lifetime.map(encode_lifetime).unwrap_or_default());
    match &edit.rotation {
        Rotation::Keep => call.bytes8(b""),
        Rotation::OnSubjectChange(replacement) => call.bytes8(&encode_replacement(b"s", replacement)),
        Rotation::Always(replacement) => call.bytes8(&encode_replacement(b"a", replacement)),
    };
    call.bytes16(&optional_context(edit.context.as_ref())).lifetimes(edit.lifetime_limits.authenticated);
    call.lifetimes(edit.lifetime_limits.anonymous);
    call.u16(changes.unset.len()).u16(changes.set.len()).u16(changes.increment.len());
    script.arg(call.0);
    push_names(script, &changes.unset);
    push_entries(script, &changes.set);
    for (name, delta) in &changes.increment {
        script.arg(entry_field(name)).arg(*delta);
    }
}

pub(super) fn push_end(script: &mut Cmd, precondition: &Precondition, reason: EndReason) {
    let mut call = ByteWriter::begin_call(precondition);
    call.u8(reason as u8);
    script.arg(call.0);
}

/// A new context: `=` and its bytes; empty if there is none.
pub(super) fn optional_context(context: Option<&RequestContext>) -> Vec<u8> {
    context.map(|context| prefixed(b"=", &[&encode_context(context)])).unwrap_or_default()
}

fn push_names(script: &mut Cmd, names: &[String]) {
    for name in names {
        script.arg(entry_field(name));
    }
}

fn push_entries(script: &mut Cmd, entries: &BTreeMap<String, Value>) {
    for (name, value) in entries {
        script.arg(entry_field(name)).arg(value.stored());
    }
}

/// The field of an entry in its session's hash.
pub(super) fn entry_field(name: &str) -> String {
    [ENTRY_PREFIX, name].concat()
}

fn encode_lifetime(lifetime: NewLifetime) -> Vec<u8> {
    let cap = lifetime.cap.map_or(0, Time::millis);
    [u48_be(millis(lifetime.idle_timeout)), u48_be(millis(lifetime.absolute_timeout)), u48_be(cap)].concat()
}

fn encode_replacement(mode: &[u8], replacement: &Replacement) -> Vec<u8> {
    prefixed(mode, &[replacement.verifier_hash.as_bytes(), &encode_previous(&replacement.previous)])
}

fn prefixed(prefix: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// Writes numbers, big-endian, and parts of variable length after their lengths.
struct ByteWriter(Vec<u8>);

impl ByteWriter {
    /// Begins a call: now, authority, etag, fingerprint.
    fn begin_call(precondition: &Precondition) -> Self {
        let mut call = Self(Vec::with_capacity(96));
        call.0.extend_from_slice(&u48_be(precondition.now.millis()));
        match &precondition.authority {
            Authority::Admin => call.bytes16(b""),
            Authority::Token(verifier_hash) => call.bytes16(&prefixed(b"p", &[verifier_hash.as_bytes()])),
            Authority::EndWithToken(verifier_hash) => call.bytes16(&prefixed(b"e", &[verifier_hash.as_bytes()])),
            Authority::Subject(subject) => call.bytes16(&prefixed(b"s", &[subject.as_str().as_bytes()])),
        };
        match precondition.etag {
            None => call.bytes8(b""),
            Some(etag) => call.bytes8(&etag.0.to_be_bytes()),
        };
        match precondition.fingerprint {
            None => call.bytes8(b""),
            Some(fingerprint) => call.bytes8(&fingerprint.to_bytes()),
        };
        call
    }

    fn u8(&mut self, number: u8) -> &mut Self {
        self.0.push(number);
        self
    }

    fn u16(&mut self, number: usize) -> &mut Self {
        self.0.extend_from_slice(&u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn lifetimes(&mut self, Lifetimes { idle_timeout, absolute_timeout }: Lifetimes) -> &mut Self {
        [idle_timeout, absolute_timeout].iter().for_each(|timeout| self.0.extend_from_slice(&u48_be(millis(*timeout))));
        self
    }

    /// Writes a part of at most 255 bytes.
    fn bytes8(&mut self, part: &[u8]) -> &mut Self {
        self.u8(u8::try_from(part.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(part);
        self
    }

    /// Writes a part of at most 65,535 bytes.
    fn bytes16(&mut self, part: &[u8]) -> &mut Self {
        self.u16(part.len());
        self.0.extend_from_slice(part);
        self
    }
}

/// The most names that `set_entries.lua` sets and unsets: Lua passes a few thousand values to a command at most.
const MAX_SET_NAMES: usize = 1000;
