//! Saving: applies the changes of a request, in one atomic step.

use super::credential::{CredentialKind, ResolvedCredential, TokenState};
use super::headers::CookieAction;
use super::index::subject_ref;
use super::outcome::Outcome;
use super::prepared_save::PreparedSave;
use super::write::WriteResult;
use super::{AppCall, Credential, Error, Header, ServedApp, Service, SessionView};
use crate::session::{Changes, Counters, EndReason, RequestContext, Version};
use crate::store::{Created, IndexEntry};
use crate::token::SplitToken;

/// What a request did with its session.
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
    /// Overrides the name of the app's cookie.
    pub cookie_name: Option<&'r str>,
    /// Where the request came from; `None`: the frontend did not say.
    pub context: Option<RequestContext>,
}

/// The response to a save or a rotation.
#[derive(Clone, Debug)]
pub struct Saved {
    pub outcome: Outcome,
    /// The session without its entries; `None` once it has ended.
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
    /// A session that has ended stays ended: the outcome is [`Outcome::Gone`], and nothing is written. A new session
    /// without content is not stored, unless `keep_empty` is set.
    ///
    /// Fails without a credential, with a token that does not verify, with changes that are invalid or exceed the
    /// app's limits, with another etag than the session's, and if the store does not answer. In the last case the save
    /// may have been done; a repetition with the same `request_id` is safe.
    pub async fn save(&self, app: &ServedApp, save: SaveRequest<'_>) -> Result<Saved, Error> {
        save.credential.check()?;
        if let Some(call) = self.begin_cookie_call(app, save.cookie_name)? {
            return call.save(save);
        }
        let call = self.begin_call(app, save.cookie_name)?;
        let credential = self.resolve_credential(&call, save.credential).await?;
        // A request without a session gets the ticket that an open would have given.
        let credential = credential.unwrap_or_else(|| ResolvedCredential::ticket(SplitToken::random()));
        if save.changes.is_none() && !save.rotate {
            return self.save_unmodified(&call, credential, &save).await;
        }
        let (accessed, modified) = (save.accessed, save.changes.is_some());
        let touches_permanent = save.changes.as_ref().is_some_and(Changes::touches_permanent);
        let mut prepared = PreparedSave::new(&call, save, credential.token)?;
        let result = self.write_save(&call, credential, &mut prepared).await?;
        let token = prepared.write.token;
        match result {
            Some(result) => {
                self.after_save(&call, &prepared, &result).await?;
                // The browser has this very cookie. A late response must not set it again over a newer one, unless the
                // expiry of the cookie changes.
                let cookie_action =
                    if touches_permanent { CookieAction::Set } else { credential.cookie_action_for(token) };
                call.saved(token, result, cookie_action, accessed)
            }
            // There was no session and nothing is to be stored: the cookie can go, as Flask has it.
            None if modified => Ok(Saved {
                outcome: Outcome::Deleted(EndReason::Emptied),
                session: None,
                headers: Header::delete_cookie(&call.cookie),
                counters: Counters::new(),
            }),
            // A rotation of a session that is not stored changes nothing.
            None => call.unchanged(call.new_view(token), CookieAction::Keep, accessed),
        }
    }

    /// Writes a save; `None` if there is no session and nothing to store.
    ///
    /// If the store does not remember the session of a cookie, the prepared token becomes that of a new session.
    async fn write_save(
        &self,
        call: &AppCall<'_>,
        credential: ResolvedCredential,
        prepared: &mut PreparedSave,
    ) -> Result<Option<WriteResult>, Error> {
        let _lock = self.enforce_session_limit(call, &credential, prepared).await?;
        self.index_session(call, prepared).await?;
        if credential.kind == CredentialKind::Ticket {
            return self.create_or_write(call, prepared).await;
        }
        match self.write(call, prepared.with_rotation(call)).await? {
            // The store does not remember the session, so no logout can be undone: begin a new one, as an open does.
            WriteResult::Missing | WriteResult::Gone(None) if credential.kind == CredentialKind::Cookie => {
                prepared.set_token(SplitToken::random());
                self.index_session(call, prepared).await?;
                self.create_or_write(call, prepared).await
            }
            result => Ok(Some(result)),
        }
    }

    /// Answers a save without changes: with the session as it is now.
    async fn save_unmodified(
        &self,
        call: &AppCall<'_>,
        credential: ResolvedCredential,
        save: &SaveRequest<'_>,
    ) -> Result<Saved, Error> {
        let session_key = call.session_key(credential.token);
        let snapshot = self.store.load(&session_key).await?;
        let (session, cookie_action) = match call.token_state(credential.token, snapshot) {
            TokenState::Live { record, token } => {
                self.touch_if_due(call, &session_key, &record.head, save.context.clone()).await;
                let session = call.view(session_key.id, &record.head, Some(token));
                let refresh = call.app.should_set_cookie(false, session.permanent == Some(true));
                let cookie_action = if refresh { CookieAction::Set } else { credential.cookie_action_for(token) };
                (session, cookie_action)
            }
            TokenState::Gone(None) if credential.kind == CredentialKind::Ticket => {
                (call.new_view(credential.token), CookieAction::Keep)
            }
            TokenState::Gone(None) if credential.kind == CredentialKind::Cookie => {
                (call.new_view(SplitToken::random()), CookieAction::Keep)
            }
            TokenState::Gone(reason) => return Ok(Saved::gone(reason, save.accessed)),
            TokenState::Superseded => return Ok(Saved::gone(Some(EndReason::Superseded), save.accessed)),
        };
        call.unchanged(session, cookie_action, save.accessed)
    }

    /// Adds the session to the index of the subject that it is about to get, so that no listing misses it.
    async fn index_session(&self, call: &AppCall<'_>, prepared: &PreparedSave) -> Result<(), Error> {
        match &prepared.subject {
            Some(subject) => {
                self.add_to_index(&subject_ref(call.app, subject), &call.index_entry(prepared.write.token)).await
            }
            None => Ok(()),
        }
    }

    /// Evicts after a login, and extends the index entry of a session that lives longer.
    ///
    /// Also after a repeated save: the call that made it may have failed here.
    async fn after_save(&self, call: &AppCall<'_>, prepared: &PreparedSave, result: &WriteResult) -> Result<(), Error> {
        let WriteResult::Done { head: Some(head), .. } = result else { return Ok(()) };
        let Some(subject) = &head.subject else { return Ok(()) };
        let entry = call.index_entry(prepared.write.token);
        // The session may be from a time when the app's absolute timeout was longer.
        let until = entry.until.max(head.deadline_time);
        let needs_entry = if prepared.subject.is_some() { until > entry.until } else { prepared.sets_lifetime };
        if needs_entry {
            self.add_to_index(&subject_ref(call.app, subject), &IndexEntry { until, ..entry }).await?;
        }
        if prepared.subject.is_some() { self.evict(call, subject).await } else { Ok(()) }
    }

    /// Creates the session, or writes to it if it exists; `None` if there is none and nothing to store.
    ///
    /// Reasons to refuse a creation count only if there is no session: repeats, ends and etags are judged before
    /// limits.
    async fn create_or_write(
        &self,
        call: &AppCall<'_>,
        prepared: &mut PreparedSave,
    ) -> Result<Option<WriteResult>, Error> {
        let may_create = prepared.may_create();
        let refused = match prepared.first_record(call) {
            Ok(Some((record, counters))) if may_create => {
                let token = prepared.write.token;
                if self.store.create(&call.session_key(token), &record).await? == Created::Stored {
                    self.stats.count_created(&call.app.name);
                    let (head, token) = (Some(Box::new(record.head)), Some(token));
                    return Ok(Some(WriteResult::Done { outcome: Outcome::Created, head, token, counters }));
                }
                None
            }
            first => first.err(),
        };
        match self.write(call, prepared.with_rotation(call)).await? {
            WriteResult::Missing if !may_create => Err(Error::EtagMismatch),
            WriteResult::Missing => refused.map_or(Ok(None), Err),
            result => Ok(Some(result)),
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

    /// The response to a save that was made with `token`.
    ///
    /// The cookie is set after a creation, with a new token, and in a permanent session; else as `cookie_action` says.
    fn saved(
        &self,
        token: SplitToken,
        result: WriteResult,
        cookie_action: CookieAction,
        accessed: bool,
    ) -> Result<Saved, Error> {
        let (outcome, head, current, counters) = match result {
            WriteResult::Done { outcome, head, token, counters } => (outcome, head, token, counters),
            WriteResult::Gone(reason) => return Ok(Saved::gone(reason, accessed)),
            WriteResult::Missing => return Ok(Saved::gone(None, accessed)),
        };
        if let Outcome::Deleted(_) = outcome {
            return Ok(Saved { outcome, session: None, headers: Header::delete_cookie(&self.cookie), counters });
        }
        // A replayed save whose session has ended since: the outcome as it was, but nothing to set.
        let Some(head) = head else { return Ok(Saved { outcome, counters, ..Saved::gone(None, accessed) }) };
        let session = self.view(token.id(&self.app.name), &head, current);
        let sets_cookie = outcome == Outcome::Created || current != Some(token) || session.permanent == Some(true);
        let headers = self.headers(&session, if sets_cookie { CookieAction::Set } else { cookie_action }, accessed)?;
        Ok(Saved { outcome, session: Some(session), headers, counters })
    }
}
