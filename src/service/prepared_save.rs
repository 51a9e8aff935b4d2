//! What a save asks for, measured against the app: the edit, and the conditions it is made on.

use super::save::SaveRequest;
use super::write::{Conditions, NextToken};
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

/// What a save asks for.
pub(super) struct PreparedSave {
    pub(super) terms: Conditions,
    /// Without a rotation, which depends on the token that is shown.
    edit: Edit,
    rotates: RotateWhen,
}

/// When a save replaces the token.
enum RotateWhen {
    Never,
    OnSubjectChange,
    Always,
}

impl PreparedSave {
    pub(super) fn new(call: &AppCall<'_>, save: SaveRequest<'_>) -> Result<Self, Error> {
        let changes = save.changes.map(|changes| changes.check(call.app.subject_key.as_deref())).transpose()?;
        let rotates = match &changes {
            _ if save.rotate => RotateWhen::Always,
            Some(Changes { clear: true, .. }) => RotateWhen::Always,
            // Whoever has authenticated again has other rights than whoever holds an older token.
            Some(Changes { authentication: AuthenticationChange::Now, .. }) => RotateWhen::Always,
            Some(Changes { subject: SubjectChange::Set(_) | SubjectChange::Remove, .. }) => RotateWhen::OnSubjectChange,
            _ => RotateWhen::Never,
        };
        let fingerprint = fingerprint(save.request_id, || {
            let mut prepared = vec![b's', u8::from(save.rotate), u8::from(save.keep_empty)];
            prepared.extend(changes.as_ref().map(Changes::canonical).unwrap_or_default());
            prepared
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
        Ok(Self { terms: Conditions { etag: save.etag, fingerprint }, edit, rotates })
    }

    /// The write for a session that exists, with the rotation that it offers.
    pub(super) fn write(&self, call: &AppCall<'_>, shown: SplitToken) -> (Write, Option<NextToken>) {
        let derive = || call.derive_next_token(shown, ReplacementCause::Privilege, self.terms);
        let (rotation, next_token) = match self.rotates {
            RotateWhen::Never => (Rotation::Keep, None),
            RotateWhen::OnSubjectChange => {
                let next_token = derive();
                (Rotation::OnSubjectChange(next_token.replacement), Some(next_token))
            }
            RotateWhen::Always => {
                let next_token = derive();
                (Rotation::Always(next_token.replacement), Some(next_token))
            }
        };
        (Write::Edit(Box::new(Edit { rotation, ..self.edit.clone() })), next_token)
    }

    /// Whose the session is to be, if the changes say so.
    pub(super) fn subject(&self) -> Option<&Subject> {
        match &self.edit.changes.as_ref()?.subject {
            SubjectChange::Set(subject) => Some(subject),
            SubjectChange::Keep | SubjectChange::Remove => None,
        }
    }

    /// Whether the session may live longer afterwards.
    pub(super) const fn changes_lifetime(&self) -> bool {
        self.edit.lifetime.is_some()
    }

    /// The record of a session that does not exist yet; nothing if there would be nothing to keep.
    pub(super) fn first_record(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
    ) -> Result<Option<(Record, Counters)>, Error> {
        if self.edit.changes.is_none() {
            return Ok(None);
        }
        let blank = Record { head: blank(call, token), entries: Entries::default() };
        let precondition = Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now: call.now };
        let edited = edit(&blank, &self.edit, &precondition).map_err(|edit_error| call.refused(edit_error))?;
        if edited.effect == WriteEffect::Deleted {
            return Ok(None);
        }
        let mut record = edited.record;
        record.head.version = Version::NEW.next();
        let idempotency = |fingerprint| IdempotencyRecord { fingerprint, time: call.now, effect: WriteEffect::Created };
        record.head.idempotency = self.terms.fingerprint.into_iter().map(idempotency).collect();
        Ok(Some((record, edited.counters)))
    }
}

/// The fingerprint of a call that has a `request_id`.
pub(super) fn fingerprint(request_id: &str, prepared: impl FnOnce() -> Vec<u8>) -> Option<Fingerprint> {
    (!request_id.is_empty()).then(|| Fingerprint::new(request_id.as_bytes(), &prepared()))
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

/// What the app grants, if it grants sessions without a subject less.
fn lifetime_limits(call: &AppCall<'_>) -> Option<LifetimeLimits> {
    let limit = |lifetimes: Lifetimes| LifetimeLimit {
        idle_timeout: lifetimes.idle_timeout,
        absolute_timeout: lifetimes.absolute_timeout,
    };
    let (authenticated, anonymous) = (limit(call.app.lifetimes), limit(call.app.anonymous_lifetimes));
    (authenticated != anonymous).then_some(LifetimeLimits { authenticated, anonymous })
}

/// A session before its first save: nobody's.
fn blank(call: &AppCall<'_>, token: SplitToken) -> Head {
    let Lifetimes { idle_timeout, absolute_timeout, .. } = call.app.anonymous_lifetimes;
    Head::new(token.verifier_hash(&call.app.name), call.now, idle_timeout, absolute_timeout)
}
