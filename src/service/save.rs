//! Saving: applies the changes of a request, in one atomic step.

use std::time::Duration;

use tokio::sync::MutexGuard;

use super::credential::{CredentialKind, ResolvedCredential, TokenState};
use super::headers::CookieAction;
use super::index::subject_ref;
use super::outcome::Outcome;
use super::recovery::UserRequest;
use super::write::{PreparedWrite, WriteResult};
use super::{AppCall, Credential, Error, Header, ServedApp, Service, SessionView};
use crate::cookie::CookieChanges;
use crate::session::{
    Changes, Counters, EndReason, LifetimeChange, PermanentChange, RequestContext, Subject, SubjectChange, SubjectKey,
    Version,
};
use crate::store::{Created, IndexEntry};
use crate::token::{CookieNote, SplitToken};
use crate::types::Time;

/// The use that a request made of its session.
#[derive(Clone, Debug, Default)]
pub struct SaveRequest<'r> {
    pub credential: Credential<'r>,
    /// `None`: the request changed nothing.
    pub changes: Option<Changes>,
    /// Whether the request read the session; a response that depends on it needs `Vary: Cookie`.
    pub accessed: bool,
    /// The version that the session must have; `None`: any.
    pub etag: Option<Version>,
    /// Makes a retry within 10 minutes harmless; empty: no request id.
    pub request_id: &'r str,
    /// Replaces the token, and ends the old one at once.
    pub rotate: bool,
    /// Stores the session even if it has no entries.
    pub keep_empty: bool,
    /// The answer of the open of the same request: the response has to set the cookie.
    pub cookie_outdated: bool,
    /// The changes of the request to the app's cookie.
    pub cookie: CookieChanges<'r>,
    /// Where the request came from; `None`: the frontend did not say.
    pub context: Option<RequestContext>,
    /// How long ago the frontend received the request. If the session of a Cookie header has ended since, by a call, the
    /// save does not begin anew. `None`: it always does.
    pub request_age: Option<Duration>,
}

impl SaveRequest<'_> {
    /// When the frontend received the request; `None`: it did not say.
    pub(super) fn receive_time(&self, now: Time) -> Option<Time> {
        self.request_age.map(|age| now.before(age))
    }
}

/// The response to a save or a rotation.
#[derive(Clone, Debug)]
pub struct Saved {
    pub outcome: Outcome,
    /// `None` once the session has ended.
    pub session: Option<SessionView>,
    /// The headers for the response to the browser.
    pub headers: Vec<Header>,
    /// The new value of each incremented entry.
    pub counters: Counters,
}

impl Saved {
    /// The session had ended. The cookie is left alone, for the browser may have a newer one by now.
    pub(super) fn gone(reason: Option<EndReason>, accessed: bool) -> Self {
        let headers = if accessed { vec![Header::vary()] } else { Vec::new() };
        Self { outcome: Outcome::Gone(reason), session: None, headers, counters: Counters::new() }
    }
}

impl Service {
    /// Applies the changes of a request, in one atomic step.
    ///
    /// Takes the app itself and not its name: what a value may be depends on the app, so the RPC has looked it up.
    ///
    /// A session that has ended stays ended: by its token the outcome is [`Outcome::Gone`], and nothing is written; by a
    /// Cookie header the save begins anew, as an open does, unless a call has ended the session within `request_age`. A new
    /// session without content is not stored, unless `keep_empty` is set.
    ///
    /// Fails without a credential, with a token that does not verify, with changes that are invalid or exceed the
    /// app's limits, with another etag than the session's, and if the store does not answer. In the last case the save
    /// may have been done; a repetition with the same `request_id` is safe.
    pub async fn save(&self, app: &ServedApp, save: SaveRequest<'_>) -> Result<Saved, Error> {
        save.credential.check(app)?;
        let saved = if let Some(call) = self.begin_cookie_call(app, save.cookie)? {
            call.save(save)?
        } else {
            let call = self.begin_call(app, save.cookie)?;
            self.save_stored(&call, save).await?
        };
        self.stats.count_save(&app.name, saved.outcome);
        Ok(saved)
    }

    /// Applies the changes of a request for an app whose sessions are in the store.
    async fn save_stored(&self, call: &AppCall<'_>, mut save: SaveRequest<'_>) -> Result<Saved, Error> {
        if call.tokens.is_none() {
            if save.rotate {
                return Err(Error::NotInExternalKind("rotate"));
            }
            // The framework writes the headers, Vary as well.
            save.accessed = false;
        }
        let credential = match self.resolve_credential(call, save.credential, save.request_id).await {
            Err(Error::CookiesAmbiguous) if leaves_nothing(&save, call.app.subject_key.as_ref()) => {
                return self.save_ambiguous(call, save).await;
            }
            credential => credential?,
        };
        // A request without a session gets the ticket that an open would have given.
        let new = || ResolvedCredential::ticket(SplitToken::random(), CookieNote::None);
        let mut credential = credential.unwrap_or_else(new);
        if save.cookie_outdated && credential.kind == CredentialKind::Token && credential.note == CookieNote::None {
            credential.note = CookieNote::Set;
        }
        if save.changes.is_none() && !save.rotate {
            return self.save_unmodified(call, credential, &save).await;
        }
        let accessed = save.accessed;
        let prepared = PreparedWrite::of_save(call, save, credential)?;
        self.save_prepared(call, prepared, accessed).await
    }

    /// Ends all sessions that a header names, and saves to a new one.
    async fn save_ambiguous(&self, call: &AppCall<'_>, save: SaveRequest<'_>) -> Result<Saved, Error> {
        let Credential::CookieHeader(header) = save.credential else { return Err(Error::CookiesAmbiguous) };
        let accessed = save.accessed;
        let credential = ResolvedCredential::ticket(SplitToken::random(), CookieNote::None);
        let mut prepared = PreparedWrite::of_save(call, save, credential)?;
        // What would be refused ends nothing.
        if !prepared.may_create() {
            return Err(prepared.etag_error());
        }
        prepared.first_record(call)?;
        self.destroy_all(call, header, None).await?;
        self.save_prepared(call, prepared, accessed).await
    }

    /// Writes a save, and answers it.
    ///
    /// If the session of a cookie had ended before the request began, or the store does not remember it, the save begins
    /// anew, as an open does.
    async fn save_prepared(
        &self,
        call: &AppCall<'_>,
        mut prepared: PreparedWrite<'_>,
        accessed: bool,
    ) -> Result<Saved, Error> {
        let result = loop {
            let lock = match prepared.changes().and_then(Changes::new_subject) {
                Some(subject) => self.prepare_login(call, &prepared, subject).await?,
                None => None,
            };
            let result = match prepared.credential.kind {
                // After it has begun anew it is one.
                CredentialKind::Ticket => break self.create_or_write(call, &mut prepared).await?,
                CredentialKind::Token | CredentialKind::Cookie => self.write(call, prepared.for_existing(call)).await?,
            };
            drop(lock);
            if prepared.credential.kind == CredentialKind::Token || matches!(result, WriteResult::Done { .. }) {
                break result;
            }
            // In a box, because few saves do this.
            let request_id = prepared.fingerprint.map(|call| call.request_id);
            let of = UserRequest { request_id, receive_time: prepared.receive_time };
            match Box::pin(self.begin_anew(call, prepared.credential.token, of)).await? {
                Some(credential) => prepared.set_credential(credential),
                None => break result,
            }
        };
        if let WriteResult::Done { head: Some(head), .. } = &result
            && let Some(subject) = &head.subject
        {
            self.after_save(call, &prepared, subject, head.deadline_time).await?;
        }
        call.saved(&prepared, result, accessed)
    }

    /// Answers a save without changes: with the session as it is now.
    pub(super) async fn save_unmodified(
        &self,
        call: &AppCall<'_>,
        mut credential: ResolvedCredential<'_>,
        save: &SaveRequest<'_>,
    ) -> Result<Saved, Error> {
        let mut state = call.token_state(credential.token, self.store.load(&call.session_key(credential.token)).await?);
        if credential.kind == CredentialKind::Cookie && !matches!(state, TokenState::Live { .. }) {
            let of = UserRequest { request_id: None, receive_time: save.receive_time(call.now) };
            let Some(anew) = Box::pin(self.begin_anew(call, credential.token, of)).await? else {
                return Ok(Saved::gone(state.reason(), save.accessed));
            };
            credential = anew;
            state = call.token_state(credential.token, self.store.load(&call.session_key(credential.token)).await?);
        }
        let session_key = call.session_key(credential.token);
        let (session, cookie_action) = match state {
            TokenState::Live { record, token } => {
                if record.head.touch_is_due(call.now) {
                    self.touch(call, &session_key, &record.head, save.context.clone()).await;
                }
                let is_kept = credential.note == CookieNote::Keep;
                let shown = if is_kept { String::new() } else { call.text_of(token, &credential) };
                let session = call.view(session_key.id, &record.head, shown, call.now);
                let refresh = !is_kept && call.app.should_set_cookie(false, session.permanent == Some(true));
                let cookie_action = if refresh { CookieAction::Set } else { credential.cookie_action_for(token) };
                (session, cookie_action)
            }
            TokenState::Gone(None) if credential.kind == CredentialKind::Ticket => {
                (call.new_view(credential.token, credential.note), CookieAction::Keep)
            }
            TokenState::Gone(reason) => return Ok(Saved::gone(reason, save.accessed)),
            TokenState::Superseded(_, reason) => return Ok(Saved::gone(Some(reason), save.accessed)),
        };
        call.unchanged(session, cookie_action, save.accessed)
    }

    /// Makes room for a login of the subject, and adds the session to the subject's index, so that no listing misses it.
    async fn prepare_login(
        &self,
        call: &AppCall<'_>,
        prepared: &PreparedWrite<'_>,
        subject: &Subject,
    ) -> Result<Option<MutexGuard<'_, ()>>, Error> {
        let lock = self.enforce_session_limit(call, prepared, subject).await?;
        self.add_to_index(&subject_ref(call.app, subject), &call.index_entry(prepared.credential.token)).await?;
        Ok(lock)
    }

    /// Evicts after a login, and extends the index entry of a subject's session that lives until this deadline.
    ///
    /// Also after a repeated save: the call that made it may have failed here.
    async fn after_save(
        &self,
        call: &AppCall<'_>,
        prepared: &PreparedWrite<'_>,
        subject: &Subject,
        deadline: Time,
    ) -> Result<(), Error> {
        let is_login = prepared.changes().and_then(Changes::new_subject).is_some();
        let sets_lifetime = prepared.changes().is_some_and(|changes| changes.lifetime != LifetimeChange::Keep);
        let entry = call.index_entry(prepared.credential.token);
        // The session may be from a time when the app's absolute timeout was longer.
        let until = entry.until.max(deadline);
        let needs_entry = if is_login { until > entry.until } else { sets_lifetime };
        if needs_entry {
            self.add_to_index(&subject_ref(call.app, subject), &IndexEntry { until, ..entry }).await?;
        }
        if is_login { self.evict(call, subject).await } else { Ok(()) }
    }

    /// Creates the session, or writes to it if it exists; [`WriteResult::Missing`]: neither, as there is nothing to store.
    ///
    /// Reasons to refuse a creation count only if there is no session: repeats, ends and etags are judged before
    /// limits.
    async fn create_or_write(
        &self,
        call: &AppCall<'_>,
        prepared: &mut PreparedWrite<'_>,
    ) -> Result<WriteResult, Error> {
        let may_create = prepared.may_create();
        let missing = match prepared.first_record(call) {
            _ if !may_create => Err(prepared.etag_error()),
            Ok(Some((record, counters))) => {
                let token = prepared.credential.token;
                if self.store.create(&call.session_key(token), &record).await? == Created::Stored {
                    self.stats.count_created(&call.app.name);
                    let token = Some(prepared.token_after(token, &record.head));
                    let head = Some(Box::new(record.head));
                    return Ok(WriteResult::Done { outcome: Outcome::Created, head, token, counters });
                }
                // There was one a moment ago: the tombstone of a session that ended long before.
                Ok(WriteResult::Gone(None))
            }
            Ok(None) => Ok(WriteResult::Missing),
            Err(refused) => Err(refused),
        };
        match self.write(call, prepared.for_existing(call)).await? {
            WriteResult::Missing => missing,
            result => Ok(result),
        }
    }
}

impl AppCall<'_> {
    /// The entry of a session in its subject's index, until the latest deadline that the app grants.
    pub(super) fn index_entry(&self, token: SplitToken) -> IndexEntry {
        let until = self.now + self.app.lifetimes.absolute_timeout;
        IndexEntry { id: token.id(&self.app.name), add_time: self.now, until }
    }

    fn unchanged(&self, session: SessionView, cookie_action: CookieAction, accessed: bool) -> Result<Saved, Error> {
        let headers = self.headers(&session, cookie_action, accessed)?;
        Ok(Saved { outcome: Outcome::Unchanged, session: Some(session), headers, counters: Counters::new() })
    }

    /// The response to a save that left no session.
    fn deleted(&self, prepared: &PreparedWrite<'_>, outcome: Outcome, counters: Counters, accessed: bool) -> Saved {
        let headers = match prepared.credential.note {
            // The browser may be about to get the cookie of a login.
            CookieNote::Keep => return Saved { outcome, counters, ..Saved::gone(None, accessed) },
            CookieNote::None | CookieNote::Set => self.delete_cookie(),
        };
        Saved { outcome, session: None, headers, counters }
    }

    /// The response to a save with this result.
    fn saved(&self, prepared: &PreparedWrite<'_>, result: WriteResult, accessed: bool) -> Result<Saved, Error> {
        let ResolvedCredential { token: presented, kind, note, .. } = prepared.credential;
        let (outcome, head, token, counters) = match result {
            WriteResult::Done { outcome, head, token, counters } => (outcome, head, token, counters),
            WriteResult::Missing if kind == CredentialKind::Ticket => return self.nothing_stored(prepared, accessed),
            WriteResult::Missing => return Ok(Saved::gone(None, accessed)),
            WriteResult::Gone(reason) => return Ok(Saved::gone(reason, accessed)),
        };
        if let Outcome::Deleted(_) = outcome {
            return Ok(self.deleted(prepared, outcome, counters, accessed));
        }
        // A replayed save whose session has ended since: the outcome as it was, but nothing to set.
        let Some(head) = head else { return Ok(Saved { outcome, counters, ..Saved::gone(None, accessed) }) };
        let cookie_action = prepared.cookie_action(outcome, token, head.permanent == Some(true));
        // A client that sets the cookie itself would set a token that it gets.
        let is_kept = note == CookieNote::Keep && cookie_action == CookieAction::Keep;
        let token = token.filter(|_| !is_kept).map(|token| self.text_of(token, &prepared.credential));
        let session = self.view(presented.id(&self.app.name), &head, token.unwrap_or_default(), self.now);
        let headers = self.headers(&session, cookie_action, accessed)?;
        Ok(Saved { outcome, session: Some(session), headers, counters })
    }

    /// The response to a save that had nothing to store, and no session.
    fn nothing_stored(&self, prepared: &PreparedWrite<'_>, accessed: bool) -> Result<Saved, Error> {
        match prepared.changes().map(|changes| changes.permanent) {
            // The cookie can go, as Flask has it.
            Some(PermanentChange::Keep | PermanentChange::Unset) if self.tokens.is_some() => {
                Ok(self.deleted(prepared, Outcome::Deleted(EndReason::Emptied), Counters::new(), accessed))
            }
            // A rotation of a session that is not stored changes nothing, and `permanent` alone is not stored.
            _ => {
                let ResolvedCredential { token, note, .. } = prepared.credential;
                self.unchanged(self.new_view(token, note), CookieAction::Keep, accessed)
            }
        }
    }

    /// The text of a session's token: that of the credential, if it is the same token, or else a new one.
    fn text_of(&self, token: SplitToken, credential: &ResolvedCredential<'_>) -> String {
        // As in an open: signing the same token again would give the same text.
        let text = credential.text.filter(|_| token == credential.token);
        text.map_or_else(|| self.sign(token, CookieNote::None), str::to_owned)
    }
}

/// Whether a save leaves nothing of the session before it to the holder of its cookie: a `clear` or another subject.
fn leaves_nothing(save: &SaveRequest<'_>, subject_key: Option<&SubjectKey>) -> bool {
    let Some(changes) = &save.changes else { return false };
    let changes_subject = changes.subject != SubjectChange::Keep;
    changes.clear || changes_subject || subject_key.is_some_and(|key| key.is_in(changes))
}
