//! Saving: what a request changed, in one atomic step.

use super::credential::{CredentialKind, ResolvedCredential, TokenState};
use super::index::subject_ref;
use super::prepared_save::PreparedSave;
use super::view::{CookieAction, Outcome};
use super::write::WriteResult;
use super::{AppCall, Credential, Error, Header, ServedApp, Service, SessionView};
use crate::session::{Changes, Context, Counters, EndReason, Version};
use crate::store::{Created, IndexEntry};
use crate::token::SplitToken;

/// What a request did.
#[derive(Clone, Debug, Default)]
pub struct SaveRequest<'r> {
    /// What the request shows.
    pub credential: Credential<'r>,
    /// What it changed; none: it only read.
    pub changes: Option<Changes>,
    /// Whether it looked at the session.
    pub accessed: bool,
    /// Only if the session has this version.
    pub etag: Option<Version>,
    /// Makes a retry harmless; empty: none.
    pub request_id: &'r str,
    /// Also replace the token.
    pub rotate: bool,
    /// Keep the session though it has no entries.
    pub keep_empty: bool,
    /// Another name for the app's cookie.
    pub cookie_name: Option<&'r str>,
    /// Where the request came from, if the frontend tells.
    pub context: Option<Context>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Saved {
    /// What happened to the session.
    pub outcome: Outcome,
    /// The session, without its entries; none once it has ended.
    pub session: Option<SessionView>,
    /// The headers to send.
    pub headers: Vec<Header>,
    /// Every incremented entry's value.
    pub counters: Counters,
}

impl Saved {
    /// The session had ended: nothing about the cookie, for the browser may hold a newer one by now.
    pub(super) fn gone(reason: Option<EndReason>, accessed: bool) -> Self {
        let headers = if accessed { vec![Header::vary()] } else { Vec::new() };
        Self { outcome: Outcome::Gone(reason), session: None, headers, counters: Counters::new() }
    }
}

impl Service {
    /// Applies the changes of a request, in one atomic step.
    pub async fn save(&self, app: &ServedApp, save: SaveRequest<'_>) -> Result<Saved, Error> {
        save.credential.check()?;
        if let Some(call) = self.cookie_call(app, save.cookie_name)? {
            return call.save(save);
        }
        let call = self.call(app, save.cookie_name)?;
        let claim = self.claim(&call, save.credential).await?.unwrap_or_else(ResolvedCredential::anonymous);
        if save.changes.is_none() && !save.rotate {
            return self.save_unmodified(&call, claim, &save).await;
        }
        let (accessed, modified) = (save.accessed, save.changes.is_some());
        let expiry_moves = save.changes.as_ref().is_some_and(Changes::touches_permanent);
        let mut prepared = PreparedSave::new(&call, save, claim.token)?;
        let result = self.write_save(&call, claim, &mut prepared).await?;
        let token = prepared.write.token;
        match result {
            Some(result) => {
                self.after_save(&call, &prepared, &result).await?;
                // The browser has this very cookie. A late response must not set it again over a newer one.
                let cookie_action = if expiry_moves { CookieAction::Set } else { claim.cookie_action_for(token) };
                call.saved(token, result, (cookie_action, accessed))
            }
            None if modified => Ok(call.nothing_saved()),
            // A rotation of a session that is not stored changes nothing.
            None => call.unchanged(call.new_view(token), CookieAction::Keep, accessed),
        }
    }

    /// Writes a save; `None` if there is no session and nothing to store.
    ///
    /// The prepared token is afterwards the one that the session was written with.
    async fn write_save(
        &self,
        call: &AppCall<'_>,
        claim: ResolvedCredential,
        prepared: &mut PreparedSave,
    ) -> Result<Option<WriteResult>, Error> {
        let _permit = self.admit(call, &claim, prepared).await?;
        self.index_subject(call, prepared).await?;
        if claim.kind == CredentialKind::Ticket {
            return self.create_or_write(call, prepared).await;
        }
        match self.write(call, prepared.with_rotation(call)).await? {
            // The store does not remember the session, so no logout can be undone: begin a new one, as an open does.
            WriteResult::Missing | WriteResult::Gone(None) if claim.kind == CredentialKind::Cookie => {
                prepared.set_token(call, SplitToken::random());
                self.index_subject(call, prepared).await?;
                self.create_or_write(call, prepared).await
            }
            result => Ok(Some(result)),
        }
    }

    /// Nothing to write: says how the session stands.
    async fn save_unmodified(
        &self,
        call: &AppCall<'_>,
        claim: ResolvedCredential,
        save: &SaveRequest<'_>,
    ) -> Result<Saved, Error> {
        let (session_key, token_state) = self.look(call, claim.token).await?;
        let (session, cookie_action) = match token_state {
            TokenState::Live { record, token } => {
                self.touch_if_due(call, &session_key, &record.head, save.context.clone()).await;
                let session = call.view(session_key.id, &record.head, Some(token));
                let refresh = call.app.should_set_cookie(false, session.permanent == Some(true));
                let cookie_action = if refresh { CookieAction::Set } else { claim.cookie_action_for(token) };
                (session, cookie_action)
            }
            TokenState::Dead(None) if claim.kind == CredentialKind::Ticket => {
                (call.new_view(claim.token), CookieAction::Keep)
            }
            TokenState::Dead(None) if claim.kind == CredentialKind::Cookie => {
                (call.new_view(SplitToken::random()), CookieAction::Keep)
            }
            TokenState::Dead(reason) => return Ok(Saved::gone(reason, save.accessed)),
            TokenState::Superseded => return Ok(Saved::gone(Some(EndReason::Superseded), save.accessed)),
        };
        call.unchanged(session, cookie_action, save.accessed)
    }

    /// Adds the session to the index of the subject that it is about to get, so that no listing misses it.
    async fn index_subject(&self, call: &AppCall<'_>, prepared: &PreparedSave) -> Result<(), Error> {
        match prepared.subject() {
            Some(subject) => self.enter(&subject_ref(call.app, subject), &call.entry(prepared.write.token)).await,
            None => Ok(()),
        }
    }

    /// Does what follows a save, made now or before: evicts after a login, prolongs the index entry of a longer life.
    async fn after_save(&self, call: &AppCall<'_>, prepared: &PreparedSave, result: &WriteResult) -> Result<(), Error> {
        let WriteResult::Done { head: Some(head), .. } = result else { return Ok(()) };
        let Some(subject) = &head.subject else { return Ok(()) };
        let entry = call.entry(prepared.write.token);
        // A session may be from a time when the app granted longer lives.
        let until = entry.until.max(head.deadline_time);
        let is_short = if prepared.subject().is_some() { until > entry.until } else { prepared.changes_lifetime() };
        if is_short {
            self.enter(&subject_ref(call.app, subject), &IndexEntry { until, ..entry }).await?;
        }
        if prepared.subject().is_some() { self.evict(call, subject).await } else { Ok(()) }
    }

    /// Creates the session, or writes to it if it exists; `None` if there is none and nothing to store.
    ///
    /// Reasons to refuse a creation count only if there is no session: repeats, ends and etags are judged before limits.
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
                    self.stats.created(&call.app.name);
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
    /// The session in its subject's index, until the latest deadline that the app grants.
    pub(super) fn entry(&self, token: SplitToken) -> IndexEntry {
        let until = self.now + self.app.lifetimes.absolute_timeout;
        IndexEntry { id: token.id(&self.app.name), entered: self.now, until }
    }

    fn unchanged(&self, session: SessionView, cookie_action: CookieAction, accessed: bool) -> Result<Saved, Error> {
        let headers = self.headers(&session, cookie_action, accessed)?;
        Ok(Saved { outcome: Outcome::Unchanged, session: Some(session), headers, counters: Counters::new() })
    }

    /// The response to a save with a token that the browser has to get only if `cookie_action` says so.
    fn saved(
        &self,
        with: SplitToken,
        result: WriteResult,
        (cookie_action, accessed): (CookieAction, bool),
    ) -> Result<Saved, Error> {
        let (outcome, head, token, counters) = match result {
            WriteResult::Done { outcome, head, token, counters } => (outcome, head, token, counters),
            WriteResult::Gone(reason) => return Ok(Saved::gone(reason, accessed)),
            WriteResult::Missing => return Ok(Saved::gone(None, accessed)),
        };
        if let Outcome::Deleted(_) = outcome {
            return Ok(Saved { outcome, session: None, headers: Header::deleting(&self.cookie), counters });
        }
        // A replayed save whose session has ended since: the outcome as it was, but nothing to set.
        let Some(head) = head else { return Ok(Saved { outcome, counters, ..Saved::gone(None, accessed) }) };
        let session = self.view(with.id(&self.app.name), &head, token);
        let sets_cookie = outcome == Outcome::Created || token != Some(with) || session.permanent == Some(true);
        let headers = self.headers(&session, if sets_cookie { CookieAction::Set } else { cookie_action }, accessed)?;
        Ok(Saved { outcome, session: Some(session), headers, counters })
    }

    /// Nothing was there and nothing is to be kept: the cookie can go, as Flask has it.
    fn nothing_saved(&self) -> Saved {
        let outcome = Outcome::Deleted(EndReason::Emptied);
        Saved { outcome, session: None, headers: Header::deleting(&self.cookie), counters: Counters::new() }
    }
}
