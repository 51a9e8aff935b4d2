//! Saving: what a request changed, in one atomic step.

use super::asked::Asked;
use super::claim::{Claim, ClaimKind, Standing};
use super::index::owner;
use super::view::{Carry, Fate};
use super::write::{Attempt, Finished, InGrace, Written};
use super::{Call, Credential, Error, Header, Served, Service, View};
use crate::session::{Changes, Context, Counters, EndReason, Version};
use crate::store::{Created, Entry, Store};
use crate::token::Bearer;

/// What a request did.
#[derive(Clone, Debug, Default)]
pub struct Save<'r> {
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
    pub fate: Fate,
    /// The session, without its entries; none once it has ended.
    pub session: Option<View>,
    /// The headers to send.
    pub headers: Vec<Header>,
    /// Every incremented entry's value.
    pub counters: Counters,
}

impl Saved {
    /// The session had ended: nothing about the cookie, for the browser may hold a newer one by now.
    pub(super) fn gone(reason: Option<EndReason>, accessed: bool) -> Self {
        let headers = if accessed { vec![Header::vary()] } else { Vec::new() };
        Self { fate: Fate::Gone(reason), session: None, headers, counters: Counters::new() }
    }
}

impl<S: Store> Service<S> {
    /// Applies what a request changed.
    pub async fn save(&self, save: Save<'_>) -> Result<Saved, Error> {
        let app = self.app(save.app)?;
        self.save_in(&app, save).await
    }

    /// As [`Self::save()`], for whoever has looked up the app already.
    pub async fn save_in(&self, app: &Served, save: Save<'_>) -> Result<Saved, Error> {
        save.credential.check()?;
        if let Some(call) = self.cookie_call(app, save.cookie_name)? {
            return call.save(save);
        }
        let call = self.call(app, save.cookie_name)?;
        let claim = self.claim(&call, save.credential).await?.unwrap_or_else(Claim::nobody);
        if save.changes.is_none() && !save.rotate {
            return self.save_unmodified(&call, claim, &save).await;
        }
        let (accessed, modified) = (save.accessed, save.changes.is_some());
        let expiry_moves = save.changes.as_ref().is_some_and(Changes::touches_permanent);
        let asked = Asked::new(&call, save)?;
        let turn = self.admit(&call, &claim, &asked).await?;
        let (shown, written) = match claim.kind {
            ClaimKind::Ticket => (claim.bearer, self.save_new(&call, claim.bearer, &asked).await?),
            ClaimKind::Token => (claim.bearer, self.save_known(&call, claim.bearer, &asked).await?),
            ClaimKind::Cookie => match self.save_known(&call, claim.bearer, &asked).await? {
                // Nobody remembers the session, so no logout can be undone: begin a new one, as an open would.
                Written::Missing | Written::Gone(None) => {
                    let bearer = Bearer::random();
                    (bearer, self.save_new(&call, bearer, &asked).await?)
                }
                written => (claim.bearer, written),
            },
        };
        drop(turn);
        self.settle(&call, shown, &asked, &written).await?;
        match written {
            // Nothing was there to rotate, and nobody emptied anything.
            Written::Nothing if !modified => call.unchanged(call.new_view(shown), Carry::Keep, accessed),
            written => {
                // The browser has this very cookie. An answer that came late would put it over a newer one.
                let carry = if expiry_moves { Carry::Set } else { claim.carry_of(shown) };
                call.saved(shown, written, (carry, accessed))
            }
        }
    }

    /// Nothing to write: says how the session stands.
    async fn save_unmodified(&self, call: &Call<'_>, claim: Claim, save: &Save<'_>) -> Result<Saved, Error> {
        let (place, standing) = self.look(call, claim.bearer).await?;
        let (session, carry) = match standing {
            Standing::Live { record, bearer } => {
                self.touch_if_due(call, &place, &record.head, save.context.clone()).await;
                let session = call.view(place.id, &record.head, Some(bearer));
                let refresh = call.app.should_set_cookie(false, session.permanent == Some(true));
                let carry = if refresh { Carry::Set } else { claim.carry_of(bearer) };
                (session, carry)
            }
            Standing::Dead(None) if claim.kind == ClaimKind::Ticket => (call.new_view(claim.bearer), Carry::Keep),
            Standing::Dead(None) if claim.kind == ClaimKind::Cookie => (call.new_view(Bearer::random()), Carry::Keep),
            Standing::Dead(reason) => return Ok(Saved::gone(reason, save.accessed)),
            Standing::Superseded => return Ok(Saved::gone(Some(EndReason::Superseded), save.accessed)),
        };
        call.unchanged(session, carry, save.accessed)
    }

    /// Saves a session that exists or existed.
    async fn save_known(&self, call: &Call<'_>, bearer: Bearer, asked: &Asked) -> Result<Written, Error> {
        self.announce(call, bearer, asked).await?;
        self.save_announced(call, bearer, asked).await
    }

    /// Enters the session for the subject that it is about to get, so that no listing misses it.
    async fn announce(&self, call: &Call<'_>, bearer: Bearer, asked: &Asked) -> Result<(), Error> {
        match asked.subject() {
            Some(subject) => self.enter(&owner(call.app, subject), &call.entry(bearer)).await,
            None => Ok(()),
        }
    }

    /// What follows a save, be it done now or before: a login may be one too many, a longer life needs a longer entry.
    async fn settle(&self, call: &Call<'_>, bearer: Bearer, asked: &Asked, written: &Written) -> Result<(), Error> {
        let Written::Done(finished) = written else { return Ok(()) };
        let Some(head) = &finished.head else { return Ok(()) };
        let Some(subject) = &head.subject else { return Ok(()) };
        let entry = call.entry(bearer);
        // A session may be from a time when the app granted longer lives.
        let until = entry.until.max(head.deadline_time);
        let is_short = if asked.subject().is_some() { until > entry.until } else { asked.changes_lifetime() };
        if is_short {
            self.enter(&owner(call.app, subject), &Entry { until, ..entry }).await?;
        }
        if asked.subject().is_some() { self.evict(call, subject).await } else { Ok(()) }
    }

    async fn save_announced(&self, call: &Call<'_>, bearer: Bearer, asked: &Asked) -> Result<Written, Error> {
        let (write, offer) = asked.write(call, bearer);
        let attempt = Attempt { write: &write, offer, in_grace: InGrace::Write };
        self.write(call, bearer, asked.terms, attempt).await
    }

    /// Saves a session that may not exist yet: create-if-absent, else as any other.
    ///
    /// A creation never rotates, for its ticket was in no cookie. What a creation is refused for counts only if
    /// there is nothing yet: repeats, ends and etags are judged before limits.
    async fn save_new(&self, call: &Call<'_>, bearer: Bearer, asked: &Asked) -> Result<Written, Error> {
        self.announce(call, bearer, asked).await?;
        let creates = asked.terms.etag.is_none_or(|etag| etag == Version::NEW);
        let refused = match asked.first_record(call, bearer) {
            Ok(Some((record, counters))) if creates => {
                if self.store.create(&call.place(bearer), &record).await? == Created::Stored {
                    self.stats.created(&call.app.name);
                    let (head, bearer) = (Some(record.head), Some(bearer));
                    return Ok(Written::Done(Box::new(Finished { fate: Fate::Created, head, bearer, counters })));
                }
                None
            }
            first => first.err(),
        };
        match self.save_announced(call, bearer, asked).await? {
            Written::Missing if !creates => Err(Error::EtagMismatch),
            Written::Missing => refused.map_or(Ok(Written::Nothing), Err),
            written => Ok(written),
        }
    }
}

impl Call<'_> {
    /// The session in its subject's index, until the latest deadline that the app grants.
    pub(super) fn entry(&self, bearer: Bearer) -> Entry {
        let until = self.now + self.app.lifetimes.absolute_timeout;
        Entry { id: bearer.id(&self.app.name), entered: self.now, until }
    }

    fn unchanged(&self, session: View, carry: Carry, accessed: bool) -> Result<Saved, Error> {
        let headers = self.headers(&session, carry, accessed)?;
        Ok(Saved { fate: Fate::Unchanged, session: Some(session), headers, counters: Counters::new() })
    }

    /// The answer to a save by `shown`, which the browser has to be given only if `carry` says so.
    fn saved(&self, shown: Bearer, written: Written, (carry, accessed): (Carry, bool)) -> Result<Saved, Error> {
        let Finished { fate, head, bearer, counters } = match written {
            Written::Done(finished) => *finished,
            Written::Nothing => return Ok(self.nothing_saved()),
            Written::Gone(reason) => return Ok(Saved::gone(reason, accessed)),
            Written::Missing | Written::Renewed(_) => return Ok(Saved::gone(None, accessed)),
        };
        if let Fate::Deleted(_) = fate {
            return Ok(Saved { fate, session: None, headers: Header::deleting(&self.cookie), counters });
        }
        // A replayed save whose session has ended since: the outcome as it was, but nothing to set.
        let Some(head) = head else { return Ok(Saved { fate, counters, ..Saved::gone(None, accessed) }) };
        let session = self.view(shown.id(&self.app.name), &head, bearer);
        let is_told = fate == Fate::Created || bearer != Some(shown) || session.permanent == Some(true);
        let headers = self.headers(&session, if is_told { Carry::Set } else { carry }, accessed)?;
        Ok(Saved { fate, session: Some(session), headers, counters })
    }

    /// Nothing was there and nothing is to be kept: the cookie can go, as Flask has it.
    fn nothing_saved(&self) -> Saved {
        let fate = Fate::Deleted(EndReason::Emptied);
        Saved { fate, session: None, headers: Header::deleting(&self.cookie), counters: Counters::new() }
    }
}
