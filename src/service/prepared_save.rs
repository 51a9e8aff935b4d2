//! Turns a save request into a write, with the app's limits and lifetimes.

use super::credential::ResolvedCredential;
use super::headers::CookieAction;
use super::save::SaveRequest;
use super::write::{PreparedWrite, fingerprint};
use super::{AppCall, Error, Outcome};
use crate::session::{
    AuthenticationChange, Authority, Changes, Counters, Edit, Entries, Head, IdempotencyRecord, LifetimeChange,
    Lifetimes, NewLifetime, Precondition, Record, Replacement, Rotation, SubjectChange, Version, WhenEmpty,
    WriteEffect, edit,
};
use crate::store::Write;
use crate::token::{CookieNote, SplitToken};

impl<'r> PreparedWrite<'r> {
    /// Checks a save, and makes it a write with this credential.
    pub(super) fn of_save(
        call: &AppCall<'_>,
        save: SaveRequest<'_>,
        credential: ResolvedCredential<'r>,
    ) -> Result<Self, Error> {
        let receive_time = save.receive_time(call.now);
        let mut changes = save.changes.map(|changes| changes.check(call.app.subject_key.as_ref())).transpose()?;
        if let Some(changes) = &mut changes
            && save.rotate
            && changes.authentication == AuthenticationChange::IfOtherSubject
        {
            // Frameworks rotate at a login, also at one of the same user.
            changes.authentication = AuthenticationChange::Keep;
        }
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
        let fingerprint = fingerprint(save.request_id, || {
            let mut content = vec![b's', u8::from(save.rotate), u8::from(save.keep_empty)];
            content.extend(changes.as_ref().map(Changes::canonical).unwrap_or_default());
            content
        });
        let lifetime = changes.as_ref().map(|changes| changes.lifetime).unwrap_or_default();
        // A repetition of the save that set this deadline gets its answer. Another save must write nothing.
        let etag = if call.has_passed(lifetime) { Some(Version::IMPOSSIBLE) } else { save.etag };
        let edit = Edit {
            lifetime: call.new_lifetime(lifetime),
            lifetime_limits: call.app.lifetime_limits(),
            changes,
            rotation: Rotation::Keep,
            when_empty: if save.keep_empty { WhenEmpty::Keep } else { WhenEmpty::Delete },
            limits: call.app.limits,
            context: save.context,
        };
        let write = Self::new(credential, Write::Edit(Box::new(edit)));
        Ok(Self { etag, fingerprint, rotation, receive_time, ..write })
    }

    /// Makes the save with the ticket of another session, again without a rotation.
    pub(super) fn set_credential(&mut self, credential: ResolvedCredential<'r>) {
        (self.credential, self.next) = (credential, None);
        if let Write::Edit(edit) = &mut self.operation {
            edit.rotation = Rotation::Keep;
        }
    }

    /// The error if the session does not have the etag.
    pub(super) fn etag_error(&self) -> Error {
        if self.etag == Some(Version::IMPOSSIBLE) { Error::DeadlinePassed } else { Error::EtagMismatch }
    }

    /// Whether the etag lets the save create a session.
    pub(super) fn may_create(&self) -> bool {
        self.etag.is_none_or(|etag| etag == Version::NEW)
    }

    /// The action of the response on the cookie after this outcome, if `token` is the session's token now.
    pub(super) fn cookie_action(&self, outcome: Outcome, token: Option<SplitToken>, permanent: bool) -> CookieAction {
        let is_other_token = token != Some(self.credential.token);
        // With Flask's `_permanent`, the expiry of the cookie changes.
        let has_other_expiry = || self.changes().is_some_and(Changes::touches_permanent);
        match self.credential.note {
            CookieNote::Keep if self.rotation.is_some() && is_other_token => CookieAction::Set,
            CookieNote::Keep => CookieAction::Keep,
            _ if outcome == Outcome::Created || is_other_token || permanent || has_other_expiry() => CookieAction::Set,
            // The browser has this very cookie. A late response must not set it again over a newer one.
            _ => self.credential.cookie_action_for(self.credential.token),
        }
    }

    /// Applies the save to a session that does not exist yet; `None` if that leaves nothing to store.
    ///
    /// It does not rotate, unless an older credential leads to the session. A value of `permanent` alone is not worth a
    /// record: many applications set it at each request, bots' included.
    pub(super) fn first_record(&mut self, call: &AppCall<'_>) -> Result<Option<(Record, Counters)>, Error> {
        if self.credential.note != CookieNote::None {
            // An older credential leads to this session. Its holder must not share it after a login.
            self.for_existing(call);
        }
        let Write::Edit(first) = &self.operation else { return Ok(None) };
        if first.changes.is_none() {
            return Ok(None);
        }
        let Lifetimes { idle_timeout, absolute_timeout } = call.app.anonymous_lifetimes;
        let verifier_hash = self.credential.token.verifier_hash(&call.app.name);
        let head = Head::new(verifier_hash, call.now, idle_timeout, absolute_timeout);
        let empty = Record { head, entries: Entries::default() };
        let (mut record, done) = edit(&empty, first, &Precondition::unconditional(Authority::Admin, call.now))
            .map_err(|edit_error| Error::refused(edit_error, call.app.limits))?;
        let is_empty = record.head.entry_count == 0 && record.head.subject.is_none();
        if done.effect == WriteEffect::Deleted || is_empty && first.when_empty == WhenEmpty::Delete {
            return Ok(None);
        }
        record.head.version = Version::NEW.next();
        let idempotency = |fingerprint| IdempotencyRecord { fingerprint, time: call.now, effect: WriteEffect::Created };
        record.head.idempotency = self.fingerprint.into_iter().map(idempotency).collect();
        Ok(Some((record, done.counters)))
    }
}

impl AppCall<'_> {
    /// Whether the deadline that a save sets is not in the future.
    fn has_passed(&self, change: LifetimeChange) -> bool {
        matches!(change, LifetimeChange::Until(time) if time <= self.now)
    }

    /// The lifetime that a save sets, within the app's own; `None` if it sets none.
    fn new_lifetime(&self, change: LifetimeChange) -> Option<NewLifetime> {
        let Lifetimes { idle_timeout, absolute_timeout } = self.app.lifetimes;
        let (idle_timeout, cap) = match change {
            LifetimeChange::Keep => return None,
            LifetimeChange::Default => (idle_timeout, None),
            LifetimeChange::Idle(shorter) => (shorter.min(idle_timeout), None),
            LifetimeChange::Until(time) => (absolute_timeout, Some(time)),
        };
        Some(NewLifetime { idle_timeout, absolute_timeout, cap })
    }
}
