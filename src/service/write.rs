//! Writing with a token: what save, rotate and destroy have in common.

use super::credential::{ResolvedCredential, TokenState};
use super::liveness::is_live;
use super::{AppCall, Error, Outcome, Service};
use crate::session::{
    Authority, Changes, Counters, Denial, Done, EndReason, Fingerprint, Head, Precondition, PreviousToken, Record,
    Replacement, ReplacementCause, Rotation, TokenMatch, Version, WhenEmpty, WriteEffect, counter, match_token,
};
use crate::store::{Applied, Write};
use crate::token::{Nonce, SplitToken, next_token};
use crate::types::Time;

/// A write by the holder of a credential.
pub(super) struct PreparedWrite<'r> {
    pub(super) credential: ResolvedCredential<'r>,
    /// The version that the session must have; `None`: any.
    pub(super) etag: Option<Version>,
    /// `None`: the call has no `request_id`.
    pub(super) fingerprint: Option<Fingerprint>,
    /// An edit has no rotation until [`Self::for_existing`].
    pub(super) operation: Write,
    /// Makes the rotation of the edit; `None`: the write never replaces the token.
    pub(super) rotation: Option<fn(Replacement) -> Rotation>,
    /// Why the rotation replaces the token.
    pub(super) cause: ReplacementCause,
    /// The token that the rotation would make the current one; `None` until [`Self::for_existing`].
    pub(super) next: Option<SplitToken>,
    /// When the frontend received the request; `None`: it did not say.
    pub(super) receive_time: Option<Time>,
}

/// The result of a write.
#[derive(Debug)]
pub(super) enum WriteResult {
    /// It is done, by this call or by an earlier one with the same `request_id`.
    Done {
        outcome: Outcome,
        /// The head from now on; `None` if the session has ended since.
        head: Option<Box<Head>>,
        /// The session's token from now on, or at its end; `None` if this caller may not get it.
        token: Option<SplitToken>,
        counters: Counters,
    },
    /// The session had ended.
    Gone(Option<EndReason>),
    /// The store has nothing at that id.
    Missing,
}

impl<'r> PreparedWrite<'r> {
    /// A write without a rotation and without conditions.
    pub(super) const fn new(credential: ResolvedCredential<'r>, operation: Write) -> Self {
        let cause = ReplacementCause::Privilege;
        Self {
            credential,
            etag: None,
            fingerprint: None,
            operation,
            rotation: None,
            cause,
            next: None,
            receive_time: None,
        }
    }

    /// Prepares the write for a session that exists: with the rotation that it asks for, and without the end of a key. A
    /// save that may create the session calls [`Self::first_record`] before.
    pub(super) fn for_existing(&mut self, call: &AppCall<'_>) -> &Self {
        let Write::Edit(edit) = &mut self.operation else { return self };
        if call.tokens.is_none() {
            // An end would make the key useless, and the service cannot give the request another one.
            edit.when_empty = WhenEmpty::Keep;
        }
        if let Some(rotation) = self.rotation
            && let Some((next, replacement)) =
                call.derive_next_token(self.credential.token, self.cause, self.fingerprint)
        {
            edit.rotation = rotation(replacement);
            self.next = Some(next);
        }
        self
    }

    /// The changes of a save; `None`: the write only rotates, or ends the session.
    pub(super) fn changes(&self) -> Option<&Changes> {
        match &self.operation {
            Write::Edit(edit) => edit.changes.as_ref(),
            Write::End(_) => None,
        }
    }

    /// The session's token after this write was made with `token` and left this head. `None`: an end by an older token.
    fn token_after_write(&self, call: &AppCall<'_>, token: SplitToken, head: &Head) -> Option<SplitToken> {
        let is_current = || head.verifier_hash == token.verifier_hash(&call.app.name);
        match self.operation {
            Write::End(_) => is_current().then_some(token),
            Write::Edit(_) => Some(self.token_after(token, head)),
        }
    }

    /// The session's token after this write was made with `token` and left this head.
    pub(super) fn token_after(&self, token: SplitToken, head: &Head) -> SplitToken {
        self.next.filter(|_| self.operation.has_replaced_token(head)).unwrap_or(token)
    }

    /// The precondition of this write if it is made with `token`: that of the credential, or its next one.
    pub(super) fn precondition(&self, call: &AppCall<'_>, token: SplitToken) -> Precondition {
        let verifier_hash = token.verifier_hash(&call.app.name);
        let authority = match self.operation {
            Write::End(_) => Authority::EndWithToken(verifier_hash),
            Write::Edit(_) => Authority::Token(verifier_hash),
        };
        Precondition { authority, etag: self.etag, fingerprint: self.fingerprint, now: call.now }
    }
}

impl AppCall<'_> {
    /// Derives the token that a rotation by the holder of `old` would make the current one, and what to store of both;
    /// `None`: the app has no tokens.
    pub(super) fn derive_next_token(
        &self,
        old: SplitToken,
        cause: ReplacementCause,
        fingerprint: Option<Fingerprint>,
    ) -> Option<(SplitToken, Replacement)> {
        let (key, nonce) = (self.keys()?.signing(), Nonce::random());
        let token = next_token(key, old, nonce);
        let previous = PreviousToken {
            verifier_hash: old.verifier_hash(&self.app.name),
            nonce,
            key_id: key.id(),
            cause,
            time: self.now,
            fingerprint,
            current: None,
        };
        Some((token, Replacement { verifier_hash: token.verifier_hash(&self.app.name), previous }))
    }

    /// Derives the token that the last rotation put in place of `old`; `None` if the app no longer has the key.
    pub(super) fn find_next_token(&self, old: SplitToken, previous: &PreviousToken) -> Option<SplitToken> {
        self.keys()?.find(previous.key_id).map(|key| next_token(key, old, previous.nonce))
    }
}

impl Service {
    /// Writes with the token of the credential, or with its next one if a renewal has replaced it and it is in its grace.
    pub(super) async fn write(&self, call: &AppCall<'_>, prepared: &PreparedWrite<'_>) -> Result<WriteResult, Error> {
        let mut token = prepared.credential.token;
        loop {
            let (session_key, precondition) = (call.session_key(token), prepared.precondition(call, token));
            let previous = match self.apply(&session_key, &precondition, &prepared.operation).await? {
                Applied::Done(done) => {
                    let Done { head, effect, counters, .. } = *done;
                    let (outcome, token) = (outcome(effect, &head), prepared.token_after_write(call, token, &head));
                    let head = head.end.is_none().then(|| Box::new(head));
                    return Ok(WriteResult::Done { outcome, head, token, counters });
                }
                Applied::Missing => return Ok(WriteResult::Missing),
                Applied::Refused(edit_error) => return Err(Error::refused(edit_error, call.app.limits)),
                Applied::Denied(Denial::Replay(effect)) => return self.replay(call, prepared, effect).await,
                Applied::Denied(Denial::EtagMismatch) => return Err(prepared.etag_error()),
                Applied::Denied(Denial::RequestIdReused) => return Err(Error::RequestIdReused),
                Applied::Denied(Denial::Gone(reason)) => return Ok(WriteResult::Gone(reason)),
                Applied::Denied(Denial::Grace(previous)) => previous,
            };
            match call.find_next_token(token, &previous) {
                Some(next) if matches!(prepared.cause, ReplacementCause::Renewal { .. }) => {
                    return self.repeat_renewal(call, next).await;
                }
                Some(next) if token == prepared.credential.token => token = next,
                // Only one generation of grace is allowed, and the next token has been replaced too, or nobody can compute it.
                Some(_) | None => return Ok(WriteResult::Gone(Some(EndReason::Superseded))),
            }
        }
    }

    /// Answers a renewal that another call has made already: with the next token, if it is still the current one.
    ///
    /// A login may have replaced it since, and the cookie of the login must not be overwritten.
    async fn repeat_renewal(&self, call: &AppCall<'_>, next: SplitToken) -> Result<WriteResult, Error> {
        let session_key = call.session_key(next);
        let snapshot = self.store.load(&session_key).await?;
        Ok(match call.token_state(next, snapshot) {
            TokenState::Live { record, token } if token == next => {
                if record.head.touch_is_due(call.now) {
                    self.touch(call, &session_key, &record.head, None).await;
                }
                let head = Some(Box::new(record.head));
                WriteResult::Done { outcome: Outcome::Updated, head, token: Some(next), counters: Counters::new() }
            }
            TokenState::Live { .. } => WriteResult::Gone(Some(EndReason::Superseded)),
            TokenState::Superseded(_, reason) => WriteResult::Gone(Some(reason)),
            TokenState::Gone(reason) => WriteResult::Gone(reason),
        })
    }

    /// Answers a call that was done before: with the same outcome, and the session as it is now.
    async fn replay(
        &self,
        call: &AppCall<'_>,
        prepared: &PreparedWrite<'_>,
        effect: WriteEffect,
    ) -> Result<WriteResult, Error> {
        let token = prepared.credential.token;
        let Some(snapshot) = self.store.load(&call.session_key(token)).await? else {
            return Ok(WriteResult::Missing);
        };
        let is_live = is_live(&snapshot, call.now);
        let record = snapshot.record;
        let token = match match_token(&record.head, token.verifier_hash(&call.app.name), call.now) {
            TokenMatch::Current => Some(token),
            TokenMatch::Previous(previous) if yields_next(&previous, prepared.fingerprint, call.now) => {
                call.find_next_token(token, &previous)
            }
            TokenMatch::Previous(_) | TokenMatch::Replaced | TokenMatch::Unknown => None,
        };
        let (outcome, counters) = (outcome(effect, &record.head), counters(&record, prepared.changes()));
        Ok(WriteResult::Done { outcome, head: is_live.then(|| Box::new(record.head)), token, counters })
    }
}

/// The fingerprint of a call; `None` if it has no `request_id`.
pub(super) fn fingerprint(request_id: &str, content: impl FnOnce() -> Vec<u8>) -> Option<Fingerprint> {
    (!request_id.is_empty()).then(|| Fingerprint::new(request_id.as_bytes(), &content()))
}

/// Whether a replaced token yields the next one: in its grace, and to the very call that replaced it.
fn yields_next(previous: &PreviousToken, fingerprint: Option<Fingerprint>, now: Time) -> bool {
    let by_this_call = previous.fingerprint.is_some() && previous.fingerprint == fingerprint;
    by_this_call || previous.is_in_grace(now)
}

/// The outcome of a write with this effect, by the head that it left.
fn outcome(effect: WriteEffect, head: &Head) -> Outcome {
    match effect {
        WriteEffect::Unchanged => Outcome::Unchanged,
        WriteEffect::Created => Outcome::Created,
        WriteEffect::Updated => Outcome::Updated,
        WriteEffect::Deleted => Outcome::Deleted(head.end.map_or(EndReason::Destroyed, |end| end.reason)),
    }
}

/// The present values of the counters that these changes increment.
fn counters(record: &Record, changes: Option<&Changes>) -> Counters {
    let names = changes.into_iter().flat_map(|changes| changes.increment.keys());
    let entries = record.entries.to_map();
    let counter = |name: &String| Some((name.clone(), counter(entries.get(name.as_str())?)?));
    names.filter_map(counter).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::{self, Apps};
    use crate::cookie::CookieChanges;
    use crate::service::{Credential, RotateRequest, RotationCause, SaveRequest};
    use crate::session::{Changes, Value};
    use crate::store::Memory;
    use crate::token::Key;
    use crate::types::ManualClock;

    #[tokio::test]
    async fn a_renewal_that_a_login_overtakes_sets_no_superseded_cookie() {
        let settings = app::Settings { keys: vec![Key::generate().into()], ..app::Settings::default() };
        let apps = Apps::from_iter([settings.build("default").unwrap()]);
        let clock = Arc::new(ManualClock::new(Time::from_millis(1)));
        let service = Service::new(apps, Memory::new().into(), clock);
        let app = service.app("").unwrap();
        let ticket = service.open(Default::default()).await.unwrap().session.token;
        let set = [("a".to_owned(), Value::counter(1))].into();
        let changes = Some(Changes { set, ..Default::default() });
        let save = SaveRequest { credential: Credential::Token(&ticket), changes, ..Default::default() };
        let old = service.save(&app, save).await.unwrap().session.unwrap().token;
        let rotate = |token, cause| {
            service.rotate(RotateRequest { credential: Credential::Token(token), cause, ..Default::default() })
        };
        let next = rotate(&old, RotationCause::Renewal).await.unwrap().session.unwrap().token;

        // The login comes between the two steps of the second renewal: the write, and the load of the next token.
        rotate(&next, RotationCause::Privilege).await.unwrap();
        let call = service.begin_call(&app, CookieChanges::default()).unwrap();
        let next = service.resolve_credential(&call, Credential::Token(&next), "").await.unwrap().unwrap().token;
        let repeated = service.repeat_renewal(&call, next).await.unwrap();

        assert!(matches!(repeated, WriteResult::Gone(Some(EndReason::Superseded))));
    }
}
