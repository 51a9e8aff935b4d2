//! Turns a save request into a write, with the app's limits and lifetimes.

use super::credential::ResolvedCredential;
use super::headers::CookieAction;
use super::save::SaveRequest;
use super::write::{PreparedWrite, fingerprint, unconditional};
use super::{AppCall, Error, Outcome};
use crate::app::App;
use crate::session::{
    AuthenticationChange, Authority, Changes, Counters, Edit, Entries, Head, IdempotencyRecord, LifetimeChange,
    LifetimeLimits, Lifetimes, NewLifetime, PermanentChange, Record, Replacement, ReplacementCause, Rotation,
    Subject, SubjectChange, Version, WhenEmpty, WriteEffect, edit,
};
use crate::store::Write;
use crate::token::{CookieNote, SplitToken};

/// A save as a write with one credential.
///
/// Its edit has no rotation until [`Self::with_rotation`]: the creation of a new session never rotates, for no cookie
/// leads to it yet.
pub(super) struct PreparedSave {
    pub(super) credential: ResolvedCredential,
    /// The write, with the token of the credential.
    pub(super) write: PreparedWrite,
    /// The subject that the changes set.
    pub(super) subject: Option<Subject>,
    /// Whether the changes may change Flask's `_permanent`, and with it the expiry of the cookie.
    touches_permanent: bool,
    /// Whether the changes set a lifetime, and the session may live longer afterwards.
    pub(super) sets_lifetime: bool,
    /// Makes the rotation of the edit; `None`: the save never replaces the token.
    rotation: Option<fn(Replacement) -> Rotation>,
    /// What becomes of a session that does not exist yet and that the save leaves without content.
    when_new_and_empty: WhenEmpty,
}

impl PreparedSave {
    pub(super) fn new(
        call: &AppCall<'_>,
        save: SaveRequest<'_>,
        credential: ResolvedCredential,
    ) -> Result<Self, Error> {
        let touches_permanent = save.changes.as_ref().is_some_and(Changes::touches_permanent);
        let changes = save.changes.map(|changes| changes.check(call.app.subject_key.as_ref())).transpose()?;
        let rotation: Option<fn(Replacement) -> Rotation> = match &changes {
            // The framework makes another key instead.
            _ if call.tokens.is_none() => None,
            _ if save.rotate => Some(Rotation::Always),
            Some(Changes { clear: true, .. }) => Some(Rotation::Always),
            // A user who has authenticated again has other rights than the holder of an older token.
            Some(Changes { authentication: AuthenticationChange::Now, .. }) => Some(Rotation::Always),
            Some(Changes { subject: SubjectChange::Set(_) | SubjectChange::Remove, .. }) => {
                Some(Rotation::OnSubjectChange)
            }
            _ => None,
        };
        let subject = match &changes {
            Some(Changes { subject: SubjectChange::Set(subject), .. }) => Some(subject.clone()),
            _ => None,
        };
        let fingerprint = fingerprint(save.request_id, || {
            let mut content = vec![b's', u8::from(save.rotate), u8::from(save.keep_empty)];
            content.extend(changes.as_ref().map(Changes::canonical).unwrap_or_default());
            content
        });
        let lifetime = changes.as_ref().map_or(Ok(None), |changes| call.new_lifetime(changes.lifetime))?;
        let edit = Edit {
            changes,
            lifetime,
            lifetime_limits: lifetime_limits(call.app),
            rotation: Rotation::Keep,
            // An end would make the key useless, and the service cannot give the request another one.
            when_empty: if save.keep_empty || call.tokens.is_none() { WhenEmpty::Keep } else { WhenEmpty::Delete },
            limits: call.app.limits,
            context: save.context,
        };
        let write = Write::Edit(Box::new(edit));
        let write = PreparedWrite { etag: save.etag, fingerprint, ..PreparedWrite::new(credential.token, write) };
        Ok(Self {
            credential,
            write,
            subject,
            touches_permanent,
            sets_lifetime: lifetime.is_some(),
            rotation,
            when_new_and_empty: if save.keep_empty { WhenEmpty::Keep } else { WhenEmpty::Delete },
        })
    }

    /// Makes the save with another credential, again without a rotation.
    pub(super) fn set_credential(&mut self, credential: ResolvedCredential) {
        self.credential = credential;
        (self.write.token, self.write.next) = (credential.token, None);
        if let Write::Edit(edit) = &mut self.write.operation {
            edit.rotation = Rotation::Keep;
        }
    }

    /// The write for a session that exists, with the rotation that the save asks for.
    pub(super) fn with_rotation(&mut self, call: &AppCall<'_>) -> &PreparedWrite {
        let PreparedWrite { token, fingerprint, .. } = self.write;
        if let (Some(rotation), Write::Edit(edit)) = (self.rotation, &mut self.write.operation)
            && let Some((next, replacement)) = call.derive_next_token(token, ReplacementCause::Privilege, fingerprint)
        {
            edit.rotation = rotation(replacement);
            self.write.next = Some(next);
        }
        &self.write
    }

    /// Whether the etag lets the save create a session.
    pub(super) fn may_create(&self) -> bool {
        self.write.etag.is_none_or(|etag| etag == Version::NEW)
    }

    /// Whether the save has changes.
    pub(super) fn is_modified(&self) -> bool {
        matches!(&self.write.operation, Write::Edit(edit) if edit.changes.is_some())
    }

    /// Whether the changes set Flask's `_permanent`.
    pub(super) fn sets_permanent(&self) -> bool {
        let Write::Edit(edit) = &self.write.operation else { return false };
        edit.changes.as_ref().is_some_and(|changes| matches!(changes.permanent, PermanentChange::Set(_)))
    }

    /// What the response does with the cookie after this outcome, if `token` is the session's token now.
    pub(super) fn cookie_action(&self, outcome: Outcome, token: Option<SplitToken>, permanent: bool) -> CookieAction {
        let is_other_token = token != Some(self.write.token);
        match self.credential.note {
            CookieNote::Keep if self.rotation.is_some() && is_other_token => CookieAction::Set,
            CookieNote::Keep => CookieAction::Keep,
            _ if outcome == Outcome::Created || is_other_token || permanent || self.touches_permanent => {
                CookieAction::Set
            }
            // The browser has this very cookie. A late response must not set it again over a newer one.
            _ => self.credential.cookie_action_for(self.write.token),
        }
    }

    /// Applies the save to a session that does not exist yet; `None` if that leaves nothing to store.
    ///
    /// A value of `permanent` alone is not worth a record: many applications set it at each request, bots' included.
    pub(super) fn first_record(&mut self, call: &AppCall<'_>) -> Result<Option<(Record, Counters)>, Error> {
        if self.credential.note != CookieNote::None {
            // An older credential leads to this session. Its holder must not share it after a login.
            self.with_rotation(call);
        }
        let Write::Edit(first) = &self.write.operation else { return Ok(None) };
        if first.changes.is_none() {
            return Ok(None);
        }
        let Lifetimes { idle_timeout, absolute_timeout } = call.app.anonymous_lifetimes;
        let verifier_hash = self.write.token.verifier_hash(&call.app.name);
        let head = Head::new(verifier_hash, call.now, idle_timeout, absolute_timeout);
        let empty = Record { head, entries: Entries::default() };
        let edited = edit(&empty, first, &unconditional(Authority::Admin, call.now))
            .map_err(|edit_error| Error::refused(edit_error, call.app.limits))?;
        if edited.effect == WriteEffect::Deleted {
            return Ok(None);
        }
        let mut record = edited.record;
        let is_empty = record.head.entry_count == 0 && record.head.subject.is_none();
        if is_empty && self.when_new_and_empty == WhenEmpty::Delete {
            return Ok(None);
        }
        record.head.version = Version::NEW.next();
        let idempotency = |fingerprint| IdempotencyRecord { fingerprint, time: call.now, effect: WriteEffect::Created };
        record.head.idempotency = self.write.fingerprint.into_iter().map(idempotency).collect();
        Ok(Some((record, edited.counters)))
    }
}

impl AppCall<'_> {
    /// The lifetime that a save sets, within the app's own; `None` if it sets none.
    fn new_lifetime(&self, change: LifetimeChange) -> Result<Option<NewLifetime>, Error> {
        let Lifetimes { idle_timeout, absolute_timeout } = self.app.lifetimes;
        let (idle_timeout, cap) = match change {
            LifetimeChange::Keep => return Ok(None),
            LifetimeChange::Default => (idle_timeout, None),
            LifetimeChange::Idle(shorter) => (shorter.min(idle_timeout), None),
            LifetimeChange::Until(time) if time <= self.now => return Err(Error::DeadlinePassed),
            LifetimeChange::Until(time) => (absolute_timeout, Some(time)),
        };
        Ok(Some(NewLifetime { idle_timeout, absolute_timeout, cap }))
    }
}

/// The app's lifetimes, if they differ for sessions with and without a subject.
fn lifetime_limits(app: &App) -> Option<LifetimeLimits> {
    let limits = LifetimeLimits { authenticated: app.lifetimes, anonymous: app.anonymous_lifetimes };
    (limits.authenticated != limits.anonymous).then_some(limits)
}
