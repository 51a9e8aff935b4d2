//! Turns a save request into a write, with the app's limits and lifetimes.

use super::save::SaveRequest;
use super::write::PreparedWrite;
use super::{AppCall, Error};
use crate::app::Lifetimes;
use crate::session::{
    AuthenticationChange, Authority, Changes, Counters, Edit, Entries, Fingerprint, Head, IdempotencyRecord,
    LifetimeChange, LifetimeLimit, LifetimeLimits, NewLifetime, Precondition, Record, ReplacementCause, Rotation,
    Subject, SubjectChange, Version, WhenEmpty, WriteEffect, edit,
};
use crate::store::Write;
use crate::token::SplitToken;
use crate::types::Time;

/// A save as a write with one token.
///
/// Its edit has no rotation until [`Self::with_rotation`]: a creation never rotates, for no cookie has its token yet.
pub(super) struct PreparedSave {
    pub(super) write: PreparedWrite,
    rotate: RotateWhen,
}

/// When a save replaces the token.
#[derive(Clone, Copy)]
enum RotateWhen {
    Never,
    SubjectChanges,
    Always,
}

impl PreparedSave {
    pub(super) fn new(call: &AppCall<'_>, save: SaveRequest<'_>, token: SplitToken) -> Result<Self, Error> {
        let changes = save.changes.map(|changes| changes.check(call.app.subject_key.as_deref())).transpose()?;
        let rotate = match &changes {
            _ if save.rotate => RotateWhen::Always,
            Some(Changes { clear: true, .. }) => RotateWhen::Always,
            // A user who has authenticated again has other rights than the holder of an older token.
            Some(Changes { authentication: AuthenticationChange::Now, .. }) => RotateWhen::Always,
            Some(Changes { subject: SubjectChange::Set(_) | SubjectChange::Remove, .. }) => RotateWhen::SubjectChanges,
            _ => RotateWhen::Never,
        };
        let fingerprint = fingerprint(save.request_id, || {
            let mut content = vec![b's', u8::from(save.rotate), u8::from(save.keep_empty)];
            content.extend(changes.as_ref().map(Changes::canonical).unwrap_or_default());
            content
        });
        let lifetime = changes.as_ref().map_or(Ok(None), |changes| call.lifetime(changes.lifetime))?;
        let edit = Edit {
            changes,
            lifetime,
            lifetime_limits: lifetime_limits(call),
            rotation: Rotation::Keep,
            when_empty: if save.keep_empty { WhenEmpty::Keep } else { WhenEmpty::Delete },
            limits: call.app.limits,
            context: save.context,
        };
        let mut write = call.prepare(token, Write::Edit(Box::new(edit)));
        (write.precondition.etag, write.precondition.fingerprint) = (save.etag, fingerprint);
        Ok(Self { write, rotate })
    }

    /// Makes the save with another token.
    pub(super) fn set_token(&mut self, call: &AppCall<'_>, token: SplitToken) {
        let Self { write: PreparedWrite { token: current, precondition, write, next }, .. } = self;
        (*current, *next) = (token, None);
        precondition.authority = Authority::Token(token.verifier_hash(&call.app.name));
        if let Write::Edit(edit) = write {
            edit.rotation = Rotation::Keep;
        }
    }

    /// The write for a session that exists, with the rotation that the save asks for.
    pub(super) fn with_rotation(&mut self, call: &AppCall<'_>) -> &PreparedWrite {
        let Self { write: PreparedWrite { token, precondition, write, next }, rotate } = self;
        if let Write::Edit(edit) = write {
            let mut derive = || {
                let derived = call.derive_next_token(*token, ReplacementCause::Privilege, precondition.fingerprint);
                *next = Some(derived);
                derived.replacement
            };
            edit.rotation = match rotate {
                RotateWhen::Never => Rotation::Keep,
                RotateWhen::SubjectChanges => Rotation::OnSubjectChange(derive()),
                RotateWhen::Always => Rotation::Always(derive()),
            };
        }
        &self.write
    }

    fn edit(&self) -> Option<&Edit> {
        match &self.write.write {
            Write::Edit(edit) => Some(edit),
            Write::End(_) => None,
        }
    }

    /// The subject that the changes set.
    pub(super) fn subject(&self) -> Option<&Subject> {
        match &self.edit()?.changes.as_ref()?.subject {
            SubjectChange::Set(subject) => Some(subject),
            SubjectChange::Keep | SubjectChange::Remove => None,
        }
    }

    /// Whether the session may live longer afterwards.
    pub(super) fn changes_lifetime(&self) -> bool {
        self.edit().is_some_and(|edit| edit.lifetime.is_some())
    }

    /// Whether the etag lets the save create a session.
    pub(super) fn may_create(&self) -> bool {
        self.write.precondition.etag.is_none_or(|etag| etag == Version::NEW)
    }

    /// The record of a session that does not exist yet; `None` if the save leaves nothing to store.
    pub(super) fn first_record(&self, call: &AppCall<'_>) -> Result<Option<(Record, Counters)>, Error> {
        let Some(first) = self.edit().filter(|edit| edit.changes.is_some()) else { return Ok(None) };
        let blank = Record { head: blank(call, self.write.token), entries: Entries::default() };
        let precondition = Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now: call.now };
        let edited = edit(&blank, first, &precondition).map_err(|edit_error| call.refused(edit_error))?;
        if edited.effect == WriteEffect::Deleted {
            return Ok(None);
        }
        let mut record = edited.record;
        record.head.version = Version::NEW.next();
        let idempotency = |fingerprint| IdempotencyRecord { fingerprint, time: call.now, effect: WriteEffect::Created };
        record.head.idempotency = self.write.precondition.fingerprint.into_iter().map(idempotency).collect();
        Ok(Some((record, edited.counters)))
    }
}

/// The fingerprint of a call that has a `request_id`.
pub(super) fn fingerprint(request_id: &str, content: impl FnOnce() -> Vec<u8>) -> Option<Fingerprint> {
    (!request_id.is_empty()).then(|| Fingerprint::new(request_id.as_bytes(), &content()))
}

impl AppCall<'_> {
    fn lifetime(&self, change: LifetimeChange) -> Result<Option<NewLifetime>, Error> {
        let lifetimes = self.app.lifetimes;
        let absolute_timeout = lifetimes.absolute_timeout;
        let (idle_timeout, cap): (_, Option<Time>) = match change {
            LifetimeChange::Keep => return Ok(None),
            LifetimeChange::Default => (lifetimes.idle_timeout, None),
            LifetimeChange::Idle(idle_timeout) => (idle_timeout.min(lifetimes.idle_timeout), None),
            LifetimeChange::Until(time) if time <= self.now => return Err(Error::DeadlinePassed),
            LifetimeChange::Until(time) => (absolute_timeout, Some(time)),
        };
        Ok(Some(NewLifetime { idle_timeout, absolute_timeout, cap }))
    }
}

/// The app's lifetimes, if they differ for sessions with and without a subject.
fn lifetime_limits(call: &AppCall<'_>) -> Option<LifetimeLimits> {
    let lifetime_limit = |lifetimes: Lifetimes| LifetimeLimit {
        idle_timeout: lifetimes.idle_timeout,
        absolute_timeout: lifetimes.absolute_timeout,
    };
    let (authenticated, anonymous) = (lifetime_limit(call.app.lifetimes), lifetime_limit(call.app.anonymous_lifetimes));
    (authenticated != anonymous).then_some(LifetimeLimits { authenticated, anonymous })
}

/// The head of an anonymous session before its first save.
fn blank(call: &AppCall<'_>, token: SplitToken) -> Head {
    let Lifetimes { idle_timeout, absolute_timeout, .. } = call.app.anonymous_lifetimes;
    Head::new(token.verifier_hash(&call.app.name), call.now, idle_timeout, absolute_timeout)
}
