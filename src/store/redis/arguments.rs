//! What the scripts that write to a session are asked: one packed string, then fields and values.
//!
//! `common.lua`, `set.lua`, `edit.lua` and `end.lua` say what stands where.

use std::collections::BTreeMap;

use redis::ScriptInvocation;

use super::ENTRY;
use crate::session::{
    AuthenticationChange, Authority, Changes, Context, Edit, EndReason, LifetimeLimit, LifetimeLimits, NewLifetime,
    PermanentChange, Precondition, Replacement, Rotation, SubjectChange, Value, WhenEmpty,
};
use crate::store::encoding::{millis, pack_context, pack_permanent, pack_previous, u48_be};
use crate::types::Time;

/// The changes, if `set.lua` can make them: entries, and nothing else of the session.
pub(super) fn sets_alone(edit: &Edit) -> Option<&Changes> {
    let changes = edit.changes.as_ref()?;
    let Changes { clear, unset, set, increment, permanent, subject, authentication, lifetime: _ } = changes;
    let is_plain = !clear
        && !set.is_empty()
        && increment.is_empty()
        && *permanent == PermanentChange::Keep
        && *subject == SubjectChange::Keep
        && *authentication == AuthenticationChange::Keep;
    let keeps_token = matches!(edit.rotation, Rotation::Keep | Rotation::OnSubjectChange(_));
    let is_short = unset.len() + set.len() <= MOST_NAMES;
    (is_plain && keeps_token && edit.lifetime.is_none() && is_short).then_some(changes)
}

pub(super) fn add_set(
    script: &mut ScriptInvocation<'_>,
    precondition: &Precondition,
    (edit, changes): (&Edit, &Changes),
) {
    let mut call = Packer::call(precondition);
    call.u32(edit.limits.max_entries).u32(edit.limits.max_bytes);
    call.bytes16(&subject_or_none(edit.context.as_ref())).u16(changes.unset.len());
    script.arg(call.0);
    add_names(script, &changes.unset);
    add_entries(script, &changes.set);
}

pub(super) fn add_edit(script: &mut ScriptInvocation<'_>, precondition: &Precondition, edit: &Edit) {
    let none = Changes::default();
    let changes = edit.changes.as_ref().unwrap_or(&none);
    let mut call = Packer::call(precondition);
    call.u8(match &edit.changes {
        None => b'-',
        Some(changes) if changes.clear => b'c',
        Some(_) => b's',
    });
    call.u8(match changes.permanent {
        PermanentChange::Keep => 3,
        PermanentChange::Set(permanent) => pack_permanent(Some(permanent)),
        PermanentChange::Unset => pack_permanent(None),
    });
    call.u8(match edit.when_empty {
        WhenEmpty::Delete => b'd',
        WhenEmpty::Keep => b'k',
    });
    call.u8(match changes.authentication {
        AuthenticationChange::Keep => b'-',
        AuthenticationChange::Now => b'n',
    });
    call.u32(edit.limits.max_entries).u32(edit.limits.max_bytes);
    match &changes.subject {
        SubjectChange::Keep => call.bytes16(b""),
        SubjectChange::Remove => call.bytes16(b"-"),
        SubjectChange::Set(subject) => call.bytes16(&prefixed(b"=", &[subject.as_str().as_bytes()])),
    };
    call.bytes8(&edit.lifetime.map(pack_lifetime).unwrap_or_default());
    match &edit.rotation {
        Rotation::Keep => call.bytes8(b""),
        Rotation::OnSubjectChange(replacement) => call.bytes8(&pack_replacement(b"s", replacement)),
        Rotation::Always(replacement) => call.bytes8(&pack_replacement(b"a", replacement)),
    };
    call.bytes16(&subject_or_none(edit.context.as_ref()))
        .bytes8(&edit.lifetime_limits.map(pack_lifetime_limits).unwrap_or_default());
    call.u16(changes.unset.len()).u16(changes.set.len()).u16(changes.increment.len());
    script.arg(call.0);
    add_names(script, &changes.unset);
    add_entries(script, &changes.set);
    for (name, delta) in &changes.increment {
        script.arg(field(name)).arg(*delta);
    }
}

pub(super) fn add_end(script: &mut ScriptInvocation<'_>, precondition: &Precondition, reason: EndReason) {
    let mut call = Packer::call(precondition);
    call.u8(reason as u8);
    script.arg(call.0);
}

/// A context that is told: `=` and its bytes; nothing, if it is not.
pub(super) fn subject_or_none(context: Option<&Context>) -> Vec<u8> {
    context.map(|context| prefixed(b"=", &[&pack_context(context)])).unwrap_or_default()
}

fn add_names(script: &mut ScriptInvocation<'_>, names: &[String]) {
    for name in names {
        script.arg(field(name));
    }
}

fn add_entries(script: &mut ScriptInvocation<'_>, entries: &BTreeMap<String, Value>) {
    for (name, value) in entries {
        script.arg(field(name)).arg(value.stored());
    }
}

/// Where an entry lies in its session's hash.
pub(super) fn field(name: &str) -> String {
    [ENTRY, name].concat()
}

fn pack_lifetime(lifetime: NewLifetime) -> Vec<u8> {
    let cap = lifetime.cap.map_or(0, Time::millis);
    [u48_be(millis(lifetime.idle_timeout)), u48_be(millis(lifetime.absolute_timeout)), u48_be(cap)].concat()
}

fn pack_lifetime_limits(LifetimeLimits { authenticated, anonymous }: LifetimeLimits) -> Vec<u8> {
    let pack =
        |limit: LifetimeLimit| [u48_be(millis(limit.idle_timeout)), u48_be(millis(limit.absolute_timeout))].concat();
    [pack(authenticated), pack(anonymous)].concat()
}

fn pack_replacement(mode: &[u8], replacement: &Replacement) -> Vec<u8> {
    prefixed(mode, &[replacement.verifier_hash.as_bytes(), &pack_previous(&replacement.previous)])
}

fn prefixed(prefix: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// One string of packed parts: numbers big end first, other parts behind their lengths.
struct Packer(Vec<u8>);

impl Packer {
    /// What every call begins with: now, by what right, etag, fingerprint.
    fn call(precondition: &Precondition) -> Self {
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

    fn u8(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn u16(&mut self, count: usize) -> &mut Self {
        self.0.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A part of at most 255 bytes.
    fn bytes8(&mut self, part: &[u8]) -> &mut Self {
        self.u8(u8::try_from(part.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(part);
        self
    }

    /// A part of at most 65,535 bytes.
    fn bytes16(&mut self, part: &[u8]) -> &mut Self {
        self.u16(part.len());
        self.0.extend_from_slice(part);
        self
    }
}

/// The most names that `set.lua` changes: Lua hands a few thousand values to a command at most.
const MOST_NAMES: usize = 1000;
