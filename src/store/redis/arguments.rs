//! What the scripts that write to a session are asked: one packed string, then fields and values.
//!
//! `common.lua`, `set.lua`, `edit.lua` and `end.lua` say what stands where.

use std::collections::BTreeMap;

use redis::ScriptInvocation;

use super::ENTRY;
use crate::clock::Time;
use crate::session::{
    AuthenticationChange, By, Changes, Context, Edit, EndReason, Guard, Lifespan, Lifespans, NewLifetime,
    PermanentChange, Replacement, Rotation, SubjectChange, Value, WhenEmpty,
};
use crate::store::packed::{millis, pack_context, pack_permanent, pack_previous, six};

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

pub(super) fn add_set(script: &mut ScriptInvocation<'_>, guard: &Guard, (edit, changes): (&Edit, &Changes)) {
    let mut call = Packer::call(guard);
    call.four(edit.limits.max_entries).four(edit.limits.max_bytes);
    call.long(&told(edit.context.as_ref())).two(changes.unset.len());
    script.arg(call.0);
    add_names(script, &changes.unset);
    add_entries(script, &changes.set);
}

pub(super) fn add_edit(script: &mut ScriptInvocation<'_>, guard: &Guard, edit: &Edit) {
    let none = Changes::default();
    let changes = edit.changes.as_ref().unwrap_or(&none);
    let mut call = Packer::call(guard);
    call.one(match &edit.changes {
        None => b'-',
        Some(changes) if changes.clear => b'c',
        Some(_) => b's',
    });
    call.one(match changes.permanent {
        PermanentChange::Keep => 3,
        PermanentChange::Set(permanent) => pack_permanent(Some(permanent)),
        PermanentChange::Unset => pack_permanent(None),
    });
    call.one(match edit.when_empty {
        WhenEmpty::Delete => b'd',
        WhenEmpty::Keep => b'k',
    });
    call.one(match changes.authentication {
        AuthenticationChange::Keep => b'-',
        AuthenticationChange::Now => b'n',
    });
    call.four(edit.limits.max_entries).four(edit.limits.max_bytes);
    match &changes.subject {
        SubjectChange::Keep => call.long(b""),
        SubjectChange::Remove => call.long(b"-"),
        SubjectChange::Set(subject) => call.long(&prefixed(b"=", &[subject.as_str().as_bytes()])),
    };
    call.short(&edit.lifetime.map(pack_lifetime).unwrap_or_default());
    match &edit.rotation {
        Rotation::Keep => call.short(b""),
        Rotation::OnSubjectChange(replacement) => call.short(&pack_replacement(b"s", replacement)),
        Rotation::Always(replacement) => call.short(&pack_replacement(b"a", replacement)),
    };
    call.long(&told(edit.context.as_ref())).short(&edit.lifespans.map(pack_lifespans).unwrap_or_default());
    call.two(changes.unset.len()).two(changes.set.len()).two(changes.increment.len());
    script.arg(call.0);
    add_names(script, &changes.unset);
    add_entries(script, &changes.set);
    for (name, delta) in &changes.increment {
        script.arg(field(name)).arg(*delta);
    }
}

pub(super) fn add_end(script: &mut ScriptInvocation<'_>, guard: &Guard, reason: EndReason) {
    let mut call = Packer::call(guard);
    call.one(reason as u8);
    script.arg(call.0);
}

/// A context that is told: `=` and its bytes; nothing, if it is not.
pub(super) fn told(context: Option<&Context>) -> Vec<u8> {
    context.map(|context| prefixed(b"=", &[&pack_context(context)])).unwrap_or_default()
}

fn add_names(script: &mut ScriptInvocation<'_>, names: &[String]) {
    for name in names {
        script.arg(field(name));
    }
}

fn add_entries(script: &mut ScriptInvocation<'_>, entries: &BTreeMap<String, Value>) {
    for (name, value) in entries {
        script.arg(field(name)).arg(value.kept());
    }
}

/// Where an entry lies in its session's hash.
pub(super) fn field(name: &str) -> String {
    [ENTRY, name].concat()
}

fn pack_lifetime(lifetime: NewLifetime) -> Vec<u8> {
    let cap = lifetime.cap.map_or(0, Time::millis);
    [six(millis(lifetime.idle_timeout)), six(millis(lifetime.span)), six(cap)].concat()
}

fn pack_lifespans(Lifespans { owned, anonymous }: Lifespans) -> Vec<u8> {
    let pack = |lifespan: Lifespan| [six(millis(lifespan.idle_timeout)), six(millis(lifespan.span))].concat();
    [pack(owned), pack(anonymous)].concat()
}

fn pack_replacement(mode: &[u8], replacement: &Replacement) -> Vec<u8> {
    prefixed(mode, &[replacement.proof.as_bytes(), &pack_previous(&replacement.previous)])
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
    fn call(guard: &Guard) -> Self {
        let mut call = Self(Vec::with_capacity(96));
        call.0.extend_from_slice(&six(guard.now.millis()));
        match &guard.by {
            By::Admin => call.long(b""),
            By::Proof(proof) => call.long(&prefixed(b"p", &[proof.as_bytes()])),
            By::Ending(proof) => call.long(&prefixed(b"e", &[proof.as_bytes()])),
            By::Subject(subject) => call.long(&prefixed(b"s", &[subject.as_str().as_bytes()])),
        };
        match guard.etag {
            None => call.short(b""),
            Some(etag) => call.short(&etag.0.to_be_bytes()),
        };
        match guard.fingerprint {
            None => call.short(b""),
            Some(fingerprint) => call.short(&fingerprint.to_bytes()),
        };
        call
    }

    fn one(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn two(&mut self, count: usize) -> &mut Self {
        self.0.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
        self
    }

    fn four(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A part of at most 255 bytes.
    fn short(&mut self, part: &[u8]) -> &mut Self {
        self.one(u8::try_from(part.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(part);
        self
    }

    /// A part of at most 65,535 bytes.
    fn long(&mut self, part: &[u8]) -> &mut Self {
        self.two(part.len());
        self.0.extend_from_slice(part);
        self
    }
}

/// The most names that `set.lua` changes: Lua hands a few thousand values to a command at most.
const MOST_NAMES: usize = 1000;
