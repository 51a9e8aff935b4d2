//! The doors: what a request's cookies are if none of them is a token of the app's.
//!
//! An old credential is turned into the one bearer that can be derived of it, and from there on is a token like any
//! other. So whoever shows it, to whichever replica, finds the same session, and what ended stays ended.

use std::borrow::Cow;
use std::time::Duration;

use super::claim::{Shown, Standing};
use super::import::Old;
use super::stats::Refused;
use super::view::Carry;
use super::{Call, Error, Service};
use crate::app::{Accept, Door};
use crate::cookie;
use crate::flask;
use crate::flask_session::{NotARecord, Record, Rejected, Sid, strict};
use crate::session::{Context, EndReason, Entries, Origin, PREVIOUS_MEMORY};
use crate::store::{Found, Kept, Place, Store};
use crate::token::{self, Bearer};

/// What is kept where an old credential leads to.
enum Known {
    /// Nothing yet.
    Nothing,
    /// A session that it opens, or one that has ended so lately that a write has to be told.
    Session,
    /// One that it has opened, too long ago for a request of that time to be under way still.
    Past,
}

impl Call<'_> {
    /// The doors that are not shut yet.
    pub(super) fn open_doors(&self) -> Option<&Accept> {
        self.app.accept.as_ref().filter(|accept| self.now < accept.until)
    }

    /// The cookies of a header that may be old credentials, each for the door that it is shaped for.
    ///
    /// What is shaped like a token or a ticket is none, be it good or not.
    fn candidates<'h>(&self, accept: &Accept, header: &'h str) -> Vec<(Door, &'h str)> {
        let of = |door: Door| {
            let name = accept.cookie_name(door).map_or(&self.cookie.attributes().name, |name| name);
            let is_one = move |value: &&str| !value.is_empty() && !token::is_shaped(value) && Door::of(value) == door;
            cookie::values(header, name.as_str()).filter(is_one).map(move |value| (door, value)).collect::<Vec<_>>()
        };
        accept.doors().flat_map(of).take(cookie::MAX_CANDIDATES).collect()
    }
}

impl<S: Store> Service<S> {
    /// The sessions that old credentials in a header lead to; each comes in now, if it has not yet.
    pub(super) async fn accepted(
        &self,
        call: &Call<'_>,
        header: &str,
        context: Option<&Context>,
    ) -> Result<Vec<Shown<'static>>, Error> {
        let Some(accept) = call.open_doors() else { return Ok(Vec::new()) };
        let mut shown = Vec::<Shown<'static>>::new();
        for (door, value) in call.candidates(accept, header) {
            let bearer = match door {
                Door::FlaskCookie => self.accept_flask_cookie(call, accept, (value, context)).await?,
                Door::FlaskSession => self.accept_flask_session(call, accept, (value, context)).await?,
            };
            // What the browser has is no token: it has to be given one.
            let bearer = bearer.map(|bearer| Shown { bearer, text: None, carry: Carry::Set });
            shown.extend(bearer.filter(|new| shown.iter().all(|other| other.bearer != new.bearer)));
        }
        Ok(shown)
    }

    async fn accept_flask_cookie(
        &self,
        call: &Call<'_>,
        accept: &Accept,
        (value, context): (&str, Option<&Context>),
    ) -> Result<Option<Bearer>, Error> {
        let (door, app) = (Door::FlaskCookie, &call.app.name);
        let Some(flask_cookie) = &accept.flask_cookie else { return Ok(None) };
        let opened = match flask_cookie.signer.open(value, flask_cookie.lifetime, call.now) {
            Ok(opened) => opened,
            Err(rejected) => return Ok(self.refuse(call, door, rejected.into())),
        };
        // Never by its text, which has many spellings.
        let bearer = Bearer::derived(app, door.as_str(), &[&opened.signature, &opened.issued.millis().to_be_bytes()]);
        if let Some(known) = self.known(call, door, bearer).await? {
            return Ok(known);
        }
        // Flask takes one of exactly that age, in whole seconds.
        let until = opened.issued + flask_cookie.lifetime + SECOND;
        let origin = Origin { issued: Some(opened.issued), until };
        let Some(entries) = strict_entries(&opened.entries) else {
            return Ok(self.refuse(call, door, Refused::Malformed));
        };
        let old = Old { entries, permanent: opened.permanent, origin, context };
        self.import(call, door, bearer, old).await
    }

    async fn accept_flask_session(
        &self,
        call: &Call<'_>,
        accept: &Accept,
        (value, context): (&str, Option<&Context>),
    ) -> Result<Option<Bearer>, Error> {
        let (door, app) = (Door::FlaskSession, &call.app.name);
        let Some(flask_session) = &accept.flask_session else { return Ok(None) };
        let sid = match Sid::parse(value, &flask_session.signer_keys) {
            Ok(sid) => sid,
            Err(rejected) => return Ok(self.refuse(call, door, rejected.into())),
        };
        let bearer = Bearer::derived(app, door.as_str(), &[sid.as_str().as_bytes()]);
        // Before its record, so that no session that has come in waits for the other Redis, or falls with it.
        if let Some(known) = self.known(call, door, bearer).await? {
            return Ok(known);
        }
        let Some(records) = &call.app.flask_sessions else { return Ok(None) };
        let (bytes, left) = match records.find(sid).await? {
            Found::Record(bytes, left) => (bytes, left),
            Found::Missing => return Ok(self.refuse(call, door, Refused::Unknown)),
            Found::TooLarge => return Ok(self.refuse(call, door, Refused::TooLarge)),
        };
        let Record { entries, permanent } = match Record::decode(&bytes) {
            Ok(record) => record,
            Err(not_a_record) => return Ok(self.refuse(call, door, not_a_record.into())),
        };
        if entries.count() == 0 {
            // Flask-Session takes one that is empty but for `_permanent` for none, and keeps none.
            return Ok(None);
        }
        // The record itself says how long it is good; should the doors stand open for longer one day, it counts.
        let until = left.map_or(accept.until, |left| accept.until.max(call.now + left));
        let old = Old { entries, permanent, origin: Origin { issued: None, until }, context };
        self.import(call, door, bearer, old).await
    }

    /// What an old credential is if its session has come in: the bearer, or nothing if that is over.
    pub(super) async fn known(
        &self,
        call: &Call<'_>,
        door: Door,
        bearer: Bearer,
    ) -> Result<Option<Option<Bearer>>, Error> {
        let place = call.place(bearer);
        let kept = self.store.load(&place).await?;
        Ok(match self.recognise(call, door, bearer, (&place, kept)).await? {
            Known::Nothing => None,
            Known::Session => Some(Some(bearer)),
            Known::Past => Some(None),
        })
    }

    async fn recognise(
        &self,
        call: &Call<'_>,
        door: Door,
        bearer: Bearer,
        (place, kept): (&Place, Option<Kept>),
    ) -> Result<Known, Error> {
        let Some(kept) = kept else { return Ok(Known::Nothing) };
        let rotated = kept.record.head.previous.as_ref().map(|previous| previous.time);
        Ok(match call.standing(bearer, Some(kept)) {
            Standing::Live { record, .. } => {
                if !self.end_if_revoked(call, door, place, &record.head).await? {
                    self.stats.found(&call.app.name, door);
                }
                Known::Session
            }
            // A browser that has the new token never shows the old credential. One that lost it could not log in
            // for as long as that is good, were it told of the dead session each time.
            Standing::Superseded if rotated.is_some_and(|time| call.now < time + PREVIOUS_MEMORY) => {
                self.refuse(call, door, Refused::Ended);
                Known::Session
            }
            Standing::Superseded | Standing::Dead(None) => {
                self.refuse(call, door, Refused::Ended);
                Known::Past
            }
            Standing::Dead(Some(EndReason::Revoked)) => {
                self.refuse(call, door, Refused::Revoked);
                Known::Session
            }
            Standing::Dead(Some(_)) => {
                self.refuse(call, door, Refused::Ended);
                Known::Session
            }
        })
    }

    /// Counts a credential that opens nothing.
    pub(super) fn refuse(&self, call: &Call<'_>, door: Door, why: Refused) -> Option<Bearer> {
        self.stats.refused(&call.app.name, door, why);
        None
    }
}

/// Entries as Flask's signer answers them, without what only Python takes for JSON.
fn strict_entries(entries: &Entries) -> Option<Entries> {
    let strict = |(name, kept)| Some((name, strict(std::str::from_utf8(kept).ok()?)?));
    let entries = entries.iter().map(strict).collect::<Option<Vec<(&str, Cow<'_, str>)>>>()?;
    Some(Entries::pack(entries.iter().map(|(name, json)| (*name, json.as_bytes()))))
}

impl From<flask::Rejected> for Refused {
    fn from(rejected: flask::Rejected) -> Self {
        match rejected {
            flask::Rejected::BadSignature => Self::BadSignature,
            flask::Rejected::Expired => Self::Expired,
            flask::Rejected::FromTheFuture => Self::FromTheFuture,
            flask::Rejected::TooLarge => Self::TooLarge,
            flask::Rejected::Malformed | flask::Rejected::Payload => Self::Malformed,
        }
    }
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Malformed => Self::Malformed,
            Rejected::BadSignature => Self::BadSignature,
        }
    }
}

impl From<NotARecord> for Refused {
    fn from(not_a_record: NotARecord) -> Self {
        match not_a_record {
            NotARecord::Pickle => Self::Pickle,
            NotARecord::Malformed => Self::Malformed,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
