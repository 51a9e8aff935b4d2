//! The doors: what a request's cookies are if none of them is a token of the app's.
//!
//! An old credential is turned into the one bearer that can be derived of it, and from there on is a token like any
//! other. So whoever shows it, to whichever replica, finds the same session, and what ended stays ended.

use std::borrow::Cow;
use std::time::Duration;

use super::credential::{PresentedToken, TokenState};
use super::import::LegacySession;
use super::stats::MigrationRefusal;
use super::view::CookieAction;
use super::{AppCall, Error, Service};
use crate::app::{Migration, MigrationSource};
use crate::cookie;
use crate::flask;
use crate::flask::flask_session::{self, RecordError, Sid, SidRejection, strict};
use crate::session::{Context, EndReason, Entries, ImportedFrom, PREVIOUS_TTL};
use crate::store::{FlaskRecord, SessionKey, Snapshot};
use crate::token::{self, SplitToken};

/// What is kept where an old credential leads to.
enum ImportState {
    /// Nothing yet.
    Nothing,
    /// A session that it opens, or one that has ended so lately that a write has to be told.
    Session,
    /// One that it has opened, too long ago for a request of that time to be under way still.
    Past,
}

impl AppCall<'_> {
    /// The doors that are not shut yet.
    pub(super) fn open_migration(&self) -> Option<&Migration> {
        self.app.migration.as_ref().filter(|migration| self.now < migration.until)
    }

    /// The cookies of a header that may be old credentials, each for the door that it is shaped for.
    ///
    /// What is shaped like a token or a ticket is none, be it good or not.
    fn candidates<'h>(&self, migration: &Migration, header: &'h str) -> Vec<(MigrationSource, &'h str)> {
        let of = |source: MigrationSource| {
            let name = migration.cookie_name(source).map_or(&self.cookie.attributes().name, |name| name);
            let is_one = move |value: &&str| {
                !value.is_empty() && !token::is_shaped(value) && MigrationSource::of(value) == source
            };
            cookie::values(header, name.as_str()).filter(is_one).map(move |value| (source, value)).collect::<Vec<_>>()
        };
        migration.sources().flat_map(of).take(cookie::MAX_CANDIDATES).collect()
    }
}

impl Service {
    /// The sessions that old credentials in a header lead to; each comes in now, if it has not yet.
    pub(super) async fn accepted(
        &self,
        call: &AppCall<'_>,
        header: &str,
        context: Option<&Context>,
    ) -> Result<Vec<PresentedToken<'static>>, Error> {
        let Some(migration) = call.open_migration() else { return Ok(Vec::new()) };
        let mut shown = Vec::<PresentedToken<'static>>::new();
        for (source, value) in call.candidates(migration, header) {
            let token = match source {
                MigrationSource::FlaskCookie => self.accept_flask_cookie(call, migration, (value, context)).await?,
                MigrationSource::FlaskSession => self.accept_flask_session(call, migration, (value, context)).await?,
            };
            // What the browser has is no token: it has to be given one.
            let token = token.map(|token| PresentedToken { token, text: None, cookie_action: CookieAction::Set });
            shown.extend(token.filter(|new| shown.iter().all(|other| other.token != new.token)));
        }
        Ok(shown)
    }

    async fn accept_flask_cookie(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        (value, context): (&str, Option<&Context>),
    ) -> Result<Option<SplitToken>, Error> {
        let (source, app) = (MigrationSource::FlaskCookie, &call.app.name);
        let Some(flask_cookie) = &migration.flask_cookie else { return Ok(None) };
        let opened = match flask_cookie.signer.verify(value, flask_cookie.lifetime, call.now) {
            Ok(opened) => opened,
            Err(rejected) => return Ok(self.refuse(call, source, rejected.into())),
        };
        // Never by its text, which has many spellings.
        let token =
            SplitToken::derived(app, source.as_str(), &[&opened.signature, &opened.issued.millis().to_be_bytes()]);
        if let Some(known) = self.known(call, source, token).await? {
            return Ok(known);
        }
        // Flask takes one of exactly that age, in whole seconds.
        let until = opened.issued + flask_cookie.lifetime + SECOND;
        let imported_from = ImportedFrom { issued: Some(opened.issued), until };
        let Some(entries) = strict_entries(&opened.entries) else {
            return Ok(self.refuse(call, source, MigrationRefusal::Malformed));
        };
        let old = LegacySession { entries, permanent: opened.permanent, imported_from, context };
        self.import(call, source, token, old).await
    }

    async fn accept_flask_session(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        (value, context): (&str, Option<&Context>),
    ) -> Result<Option<SplitToken>, Error> {
        let (source, app) = (MigrationSource::FlaskSession, &call.app.name);
        let Some(flask_session) = &migration.flask_session else { return Ok(None) };
        let sid = match Sid::parse(value, &flask_session.signer_keys) {
            Ok(sid) => sid,
            Err(rejected) => return Ok(self.refuse(call, source, rejected.into())),
        };
        let token = SplitToken::derived(app, source.as_str(), &[sid.as_str().as_bytes()]);
        // Before its record, so that no session that has come in waits for the other Redis, or falls with it.
        if let Some(known) = self.known(call, source, token).await? {
            return Ok(known);
        }
        let Some(records) = &call.app.flask_sessions else { return Ok(None) };
        let (bytes, left) = match records.read(sid).await? {
            FlaskRecord::Record(bytes, left) => (bytes, left),
            FlaskRecord::Missing => return Ok(self.refuse(call, source, MigrationRefusal::Unknown)),
            FlaskRecord::TooLarge => return Ok(self.refuse(call, source, MigrationRefusal::TooLarge)),
        };
        let flask_session::DecodedRecord { entries, permanent } = match flask_session::DecodedRecord::decode(&bytes) {
            Ok(record) => record,
            Err(not_a_record) => return Ok(self.refuse(call, source, not_a_record.into())),
        };
        if entries.count() == 0 {
            // Flask-Session takes one that is empty but for `_permanent` for none, and keeps none.
            return Ok(None);
        }
        // The record itself says how long it is good; should the doors stand open for longer one day, it counts.
        let until = left.map_or(migration.until, |left| migration.until.max(call.now + left));
        let old = LegacySession { entries, permanent, imported_from: ImportedFrom { issued: None, until }, context };
        self.import(call, source, token, old).await
    }

    /// What an old credential is if its session has come in: the bearer, or nothing if that is over.
    pub(super) async fn known(
        &self,
        call: &AppCall<'_>,
        source: MigrationSource,
        token: SplitToken,
    ) -> Result<Option<Option<SplitToken>>, Error> {
        let session_key = call.session_key(token);
        let snapshot = self.store.load(&session_key).await?;
        Ok(match self.recognise(call, source, token, (&session_key, snapshot)).await? {
            ImportState::Nothing => None,
            ImportState::Session => Some(Some(token)),
            ImportState::Past => Some(None),
        })
    }

    async fn recognise(
        &self,
        call: &AppCall<'_>,
        source: MigrationSource,
        token: SplitToken,
        (session_key, snapshot): (&SessionKey, Option<Snapshot>),
    ) -> Result<ImportState, Error> {
        let Some(snapshot) = snapshot else { return Ok(ImportState::Nothing) };
        let rotated = snapshot.record.head.previous.as_ref().map(|previous| previous.time);
        Ok(match call.token_state(token, Some(snapshot)) {
            TokenState::Live { record, .. } => {
                if !self.end_if_revoked(call, source, session_key, &record.head).await? {
                    self.stats.found(&call.app.name, source);
                }
                ImportState::Session
            }
            // A browser that has the new token never shows the old credential. One that lost it could not log in
            // for as long as that is good, were it told of the dead session each time.
            TokenState::Superseded if rotated.is_some_and(|time| call.now < time + PREVIOUS_TTL) => {
                self.refuse(call, source, MigrationRefusal::Ended);
                ImportState::Session
            }
            TokenState::Superseded | TokenState::Dead(None) => {
                self.refuse(call, source, MigrationRefusal::Ended);
                ImportState::Past
            }
            TokenState::Dead(Some(EndReason::Revoked)) => {
                self.refuse(call, source, MigrationRefusal::Revoked);
                ImportState::Session
            }
            TokenState::Dead(Some(_)) => {
                self.refuse(call, source, MigrationRefusal::Ended);
                ImportState::Session
            }
        })
    }

    /// Counts a credential that opens nothing.
    pub(super) fn refuse(
        &self,
        call: &AppCall<'_>,
        source: MigrationSource,
        why: MigrationRefusal,
    ) -> Option<SplitToken> {
        self.stats.refused(&call.app.name, source, why);
        None
    }
}

/// Entries as Flask's signer answers them, without what only Python takes for JSON.
fn strict_entries(entries: &Entries) -> Option<Entries> {
    let strict = |(name, snapshot)| Some((name, strict(std::str::from_utf8(snapshot).ok()?)?));
    let entries = entries.iter().map(strict).collect::<Option<Vec<(&str, Cow<'_, str>)>>>()?;
    Some(Entries::pack(entries.iter().map(|(name, json)| (*name, json.as_bytes()))))
}

impl From<flask::CookieRejection> for MigrationRefusal {
    fn from(rejected: flask::CookieRejection) -> Self {
        match rejected {
            flask::CookieRejection::BadSignature => Self::BadSignature,
            flask::CookieRejection::Expired => Self::Expired,
            flask::CookieRejection::FromTheFuture => Self::FromTheFuture,
            flask::CookieRejection::TooLarge => Self::TooLarge,
            flask::CookieRejection::Malformed | flask::CookieRejection::Payload => Self::Malformed,
        }
    }
}

impl From<SidRejection> for MigrationRefusal {
    fn from(rejected: SidRejection) -> Self {
        match rejected {
            SidRejection::Malformed => Self::Malformed,
            SidRejection::BadSignature => Self::BadSignature,
        }
    }
}

impl From<RecordError> for MigrationRefusal {
    fn from(not_a_record: RecordError) -> Self {
        match not_a_record {
            RecordError::Pickle => Self::Pickle,
            RecordError::Malformed => Self::Malformed,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
