//! What a save asks for, measured against the app: the edit, and the conditions it is made on.

use super::save::Save;
use super::write::{Offer, Terms};
use super::{Call, Error};
use crate::app::Lifetimes;
use crate::clock::Time;
use crate::session::{
    AuthenticationChange, By, Cause, Changes, Counters, Edit, Entries, Fingerprint, Guard, Head, Lifespan, Lifespans,
    LifetimeChange, Mark, NewLifetime, Outcome, Record, Rotation, Subject, SubjectChange, Version, WhenEmpty, edit,
};
use crate::store::Write;
use crate::token::Bearer;

/// What a save asks for.
pub(super) struct Asked {
    pub(super) terms: Terms,
    /// Without a rotation, which depends on the token that is shown.
    edit: Edit,
    rotates: Rotates,
}

/// When a save replaces the token.
enum Rotates {
    Never,
    OnSubjectChange,
    Always,
}

impl Asked {
    pub(super) fn new(call: &Call<'_>, save: Save<'_>) -> Result<Self, Error> {
        let changes = save.changes.map(|changes| changes.check(call.app.subject_key.as_deref())).transpose()?;
        let rotates = match &changes {
            _ if save.rotate => Rotates::Always,
            Some(Changes { clear: true, .. }) => Rotates::Always,
            // Whoever has authenticated again has other rights than whoever holds an older token.
            Some(Changes { authentication: AuthenticationChange::Now, .. }) => Rotates::Always,
            Some(Changes { subject: SubjectChange::Set(_) | SubjectChange::Remove, .. }) => Rotates::OnSubjectChange,
            _ => Rotates::Never,
        };
        let fingerprint = fingerprint(save.request_id, || {
            let mut asked = vec![b's', u8::from(save.rotate), u8::from(save.keep_empty)];
            asked.extend(changes.as_ref().map(Changes::canonical).unwrap_or_default());
            asked
        });
        let lifetime = changes.as_ref().map_or(Ok(None), |changes| call.lifetime(changes.lifetime))?;
        let edit = Edit {
            changes,
            lifetime,
            lifespans: lifespans(call),
            rotation: Rotation::Keep,
            when_empty: if save.keep_empty { WhenEmpty::Keep } else { WhenEmpty::Delete },
            limits: call.app.limits,
            context: save.context,
        };
        Ok(Self { terms: Terms { etag: save.etag, fingerprint }, edit, rotates })
    }

    /// The write for a session that exists, with the rotation that it offers.
    pub(super) fn write(&self, call: &Call<'_>, shown: Bearer) -> (Write, Option<Offer>) {
        let offer = || call.offer(shown, Cause::Privilege, self.terms);
        let (rotation, offer) = match self.rotates {
            Rotates::Never => (Rotation::Keep, None),
            Rotates::OnSubjectChange => {
                let offer = offer();
                (Rotation::OnSubjectChange(offer.replacement), Some(offer))
            }
            Rotates::Always => {
                let offer = offer();
                (Rotation::Always(offer.replacement), Some(offer))
            }
        };
        (Write::Edit(Box::new(Edit { rotation, ..self.edit.clone() })), offer)
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
    pub(super) fn first_record(&self, call: &Call<'_>, bearer: Bearer) -> Result<Option<(Record, Counters)>, Error> {
        if self.edit.changes.is_none() {
            return Ok(None);
        }
        let blank = Record { head: blank(call, bearer), entries: Entries::default() };
        let guard = Guard { by: By::Admin, etag: None, fingerprint: None, now: call.now };
        let edited = edit(&blank, &self.edit, &guard).map_err(|refusal| call.refused(refusal))?;
        if edited.outcome == Outcome::Deleted {
            return Ok(None);
        }
        let mut record = edited.record;
        record.head.version = Version::NEW.next();
        let mark = |fingerprint| Mark { fingerprint, time: call.now, outcome: Outcome::Created };
        record.head.marks = self.terms.fingerprint.into_iter().map(mark).collect();
        Ok(Some((record, edited.counters)))
    }
}

/// The fingerprint of a call that has a `request_id`.
pub(super) fn fingerprint(request_id: &str, asked: impl FnOnce() -> Vec<u8>) -> Option<Fingerprint> {
    (!request_id.is_empty()).then(|| Fingerprint::new(request_id.as_bytes(), &asked()))
}

impl Call<'_> {
    fn lifetime(&self, change: LifetimeChange) -> Result<Option<NewLifetime>, Error> {
        let lifetimes = self.app.lifetimes;
        let span = lifetimes.absolute_timeout;
        let (idle_timeout, cap): (_, Option<Time>) = match change {
            LifetimeChange::Keep => return Ok(None),
            LifetimeChange::Default => (lifetimes.idle_timeout, None),
            LifetimeChange::Idle(idle_timeout) => (idle_timeout.min(lifetimes.idle_timeout), None),
            LifetimeChange::Until(time) if time <= self.now => return Err(Error::DeadlinePassed),
            LifetimeChange::Until(time) => (span, Some(time)),
        };
        Ok(Some(NewLifetime { idle_timeout, span, cap }))
    }
}

/// What the app grants, if it grants sessions without a subject less.
fn lifespans(call: &Call<'_>) -> Option<Lifespans> {
    let lifespan =
        |lifetimes: Lifetimes| Lifespan { idle_timeout: lifetimes.idle_timeout, span: lifetimes.absolute_timeout };
    let (owned, anonymous) = (lifespan(call.app.lifetimes), lifespan(call.app.anonymous_lifetimes));
    (owned != anonymous).then_some(Lifespans { owned, anonymous })
}

/// A session before its first save: nobody's.
fn blank(call: &Call<'_>, bearer: Bearer) -> Head {
    let Lifetimes { idle_timeout, absolute_timeout, .. } = call.app.anonymous_lifetimes;
    Head::new(bearer.proof(&call.app.name), call.now, idle_timeout, absolute_timeout)
}
