//! Saving: what a request changed, in one atomic step.

use super::credential::{CredentialKind, ResolvedCredential, TokenState};
use super::index::subject_ref;
use super::prepared_save::PreparedSave;
use super::view::{CookieAction, Outcome};
use super::write::{CompletedWrite, InGrace, WriteAttempt, WriteResult};
use super::{AppCall, Credential, Error, Header, ServedApp, Service, SessionView};
use crate::session::{Changes, Context, Counters, EndReason, Version};
use crate::store::{Created, IndexEntry, Store};
use crate::token::SplitToken;

/// What a request did.
#[derive(Clone, Debug, Default)]
pub struct SaveRequest<'r> {
    /// The app; empty means `default`.
    pub app: &'r str,
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

impl<S: Store> Service<S> {
    /// Applies what a request changed.
    pub async fn save(&self, save: SaveRequest<'_>) -> Result<Saved, Error> {
        let app = self.app(save.app)?;
        self.save_in(&app, save).await
    }

    /// As [`Self::save()`], for whoever has looked up the app already.
    pub async fn save_in(&self, app: &ServedApp, save: SaveRequest<'_>) -> Result<Saved, Error> {
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
        let prepared = PreparedSave::new(&call, save)?;
        let permit = self.admit(&call, &claim, &prepared).await?;
        let (shown, written) = match claim.kind {
            CredentialKind::Ticket => (claim.token, self.save_new(&call, claim.token, &prepared).await?),
            CredentialKind::Token => (claim.token, self.save_known(&call, claim.token, &prepared).await?),
            CredentialKind::Cookie => match self.save_known(&call, claim.token, &prepared).await? {
                // Nobody remembers the session, so no logout can be undone: begin a new one, as an open would.
                WriteResult::Missing | WriteResult::Gone(None) => {
                    let token = SplitToken::random();
                    (token, self.save_new(&call, token, &prepared).await?)
                }
                written => (claim.token, written),
            },
        };
        drop(permit);
        self.settle(&call, shown, &prepared, &written).await?;
        match written {
            // Nothing was there to rotate, and nobody emptied anything.
            WriteResult::Nothing if !modified => call.unchanged(call.new_view(shown), CookieAction::Keep, accessed),
            written => {
                // The browser has this very cookie. An answer that came late would put it over a newer one.
                let cookie_action = if expiry_moves { CookieAction::Set } else { claim.cookie_action_for(shown) };
                call.saved(shown, written, (cookie_action, accessed))
            }
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

    /// Saves a session that exists or existed.
    async fn save_known(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        prepared: &PreparedSave,
    ) -> Result<WriteResult, Error> {
        self.announce(call, token, prepared).await?;
        self.save_announced(call, token, prepared).await
    }

    /// Enters the session for the subject that it is about to get, so that no listing misses it.
    async fn announce(&self, call: &AppCall<'_>, token: SplitToken, prepared: &PreparedSave) -> Result<(), Error> {
        match prepared.subject() {
            Some(subject) => self.enter(&subject_ref(call.app, subject), &call.entry(token)).await,
            None => Ok(()),
        }
    }

    /// What follows a save, be it done now or before: a login may be one too many, a longer life needs a longer entry.
    async fn settle(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        prepared: &PreparedSave,
        written: &WriteResult,
    ) -> Result<(), Error> {
        let WriteResult::Done(finished) = written else { return Ok(()) };
        let Some(head) = &finished.head else { return Ok(()) };
        let Some(subject) = &head.subject else { return Ok(()) };
        let entry = call.entry(token);
        // A session may be from a time when the app granted longer lives.
        let until = entry.until.max(head.deadline_time);
        let is_short = if prepared.subject().is_some() { until > entry.until } else { prepared.changes_lifetime() };
        if is_short {
            self.enter(&subject_ref(call.app, subject), &IndexEntry { until, ..entry }).await?;
        }
        if prepared.subject().is_some() { self.evict(call, subject).await } else { Ok(()) }
    }

    async fn save_announced(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        prepared: &PreparedSave,
    ) -> Result<WriteResult, Error> {
        let (write, next_token) = prepared.write(call, token);
        let attempt = WriteAttempt { write: &write, next_token, in_grace: InGrace::Write };
        self.write(call, token, prepared.terms, attempt).await
    }

    /// Saves a session that may not exist yet: create-if-absent, else as any other.
    ///
    /// A creation never rotates, for its ticket was in no cookie. What a creation is refused for counts only if
    /// there is nothing yet: repeats, ends and etags are judged before limits.
    async fn save_new(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        prepared: &PreparedSave,
    ) -> Result<WriteResult, Error> {
        self.announce(call, token, prepared).await?;
        let creates = prepared.terms.etag.is_none_or(|etag| etag == Version::NEW);
        let refused = match prepared.first_record(call, token) {
            Ok(Some((record, counters))) if creates => {
                if self.store.create(&call.session_key(token), &record).await? == Created::Stored {
                    self.stats.created(&call.app.name);
                    let (head, token) = (Some(record.head), Some(token));
                    return Ok(WriteResult::Done(Box::new(CompletedWrite {
                        outcome: Outcome::Created,
                        head,
                        token,
                        counters,
                    })));
                }
                None
            }
            first => first.err(),
        };
        match self.save_announced(call, token, prepared).await? {
            WriteResult::Missing if !creates => Err(Error::EtagMismatch),
            WriteResult::Missing => refused.map_or(Ok(WriteResult::Nothing), Err),
            written => Ok(written),
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

    /// The answer to a save by `shown`, which the browser has to be given only if `carry` says so.
    fn saved(
        &self,
        shown: SplitToken,
        written: WriteResult,
        (cookie_action, accessed): (CookieAction, bool),
    ) -> Result<Saved, Error> {
        let CompletedWrite { outcome, head, token, counters } = match written {
            WriteResult::Done(finished) => *finished,
            WriteResult::Nothing => return Ok(self.nothing_saved()),
            WriteResult::Gone(reason) => return Ok(Saved::gone(reason, accessed)),
            WriteResult::Missing | WriteResult::Renewed(_) => return Ok(Saved::gone(None, accessed)),
        };
        if let Outcome::Deleted(_) = outcome {
            return Ok(Saved { outcome, session: None, headers: Header::deleting(&self.cookie), counters });
        }
        // A replayed save whose session has ended since: the outcome as it was, but nothing to set.
        let Some(head) = head else { return Ok(Saved { outcome, counters, ..Saved::gone(None, accessed) }) };
        let session = self.view(shown.id(&self.app.name), &head, token);
        let is_told = outcome == Outcome::Created || token != Some(shown) || session.permanent == Some(true);
        let headers = self.headers(&session, if is_told { CookieAction::Set } else { cookie_action }, accessed)?;
        Ok(Saved { outcome, session: Some(session), headers, counters })
    }

    /// Nothing was there and nothing is to be kept: the cookie can go, as Flask has it.
    fn nothing_saved(&self) -> Saved {
        let outcome = Outcome::Deleted(EndReason::Emptied);
        Saved { outcome, session: None, headers: Header::deleting(&self.cookie), counters: Counters::new() }
    }
}
