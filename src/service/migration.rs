//! Migration: imports the legacy sessions that a request's cookies name, if none of the cookies is a token.
//!
//! The token of the imported session is derived from the legacy credential. So every request with the credential, at
//! every replica, finds the same session, and a session that has ended stays ended.

use std::borrow::Cow;
use std::time::Duration;

use super::call_counts::Found;
use super::credential::{PresentedToken, TokenState};
use super::import::LegacySession;
use super::stats::MigrationRefusal;
use super::{AppCall, Error, Service};
use crate::app::{Migration, MigrationSource};
use crate::cookie;
use crate::flask;
use crate::flask::flask_session::{self, RecordError, Sid, SidRejection, strict};
use crate::session::{EndReason, Entries, ImportedFrom, RequestContext};
use crate::store::FlaskRecord;
use crate::token::{self, CookieNote, SplitToken};

impl AppCall<'_> {
    /// The app's migration, if it still imports.
    pub(super) fn open_migration(&self) -> Option<&Migration> {
        self.app.migration.as_ref().filter(|migration| self.now < migration.until)
    }

    /// Returns the cookies of a header that may be legacy credentials, each with the source that it is shaped for.
    ///
    /// A text that is shaped like a token or a ticket, valid or not, is no legacy credential.
    fn legacy_credentials<'h>(&self, migration: &Migration, header: &'h str) -> Vec<(MigrationSource, &'h str)> {
        let of_source = |source: MigrationSource| {
            let name = migration.cookie_name(source).map_or(&self.cookie.attributes().name, |name| name);
            let looks_like_token = move |value: &&str| {
                !value.is_empty() && !token::looks_like_token(value) && MigrationSource::of(value) == source
            };
            let credentials = cookie::values(header, name.as_str()).filter(looks_like_token);
            credentials.map(move |value| (source, value)).collect::<Vec<_>>()
        };
        migration.sources().flat_map(of_source).take(cookie::MAX_CANDIDATES).collect()
    }

    /// Counts a legacy credential that opens nothing. Returns `None`: it has no token.
    pub(super) fn refuse_credential(&self, source: MigrationSource, reason: MigrationRefusal) -> Option<SplitToken> {
        self.stats.count_refused(&self.app.name, source, reason);
        self.finding.note(Found::LegacyRefused);
        None
    }
}

impl Service {
    /// Returns the tokens that the legacy credentials in a header lead to. Imports a session that is not yet imported.
    pub(super) async fn import_legacy_sessions(
        &self,
        call: &AppCall<'_>,
        header: &str,
        context: Option<&RequestContext>,
    ) -> Result<Vec<PresentedToken<'static>>, Error> {
        let Some(migration) = call.open_migration() else { return Ok(Vec::new()) };
        let mut tokens = Vec::<PresentedToken<'static>>::new();
        for (source, value) in call.legacy_credentials(migration, header) {
            let token = match source {
                MigrationSource::FlaskCookie => self.import_flask_cookie(call, migration, value, context).await?,
                MigrationSource::FlaskSession => self.import_flask_session(call, migration, value, context).await?,
            };
            // The browser has no token yet, so the response has to set one.
            let token = token.map(|token| PresentedToken { token, text: None, note: CookieNote::Set });
            tokens.extend(token.filter(|new| tokens.iter().all(|other| other.token != new.token)));
        }
        Ok(tokens)
    }

    /// Imports the session in Flask's own signed cookie.
    async fn import_flask_cookie(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        value: &str,
        context: Option<&RequestContext>,
    ) -> Result<Option<SplitToken>, Error> {
        let source = MigrationSource::FlaskCookie;
        let Some(flask_cookie) = &migration.flask_cookie else { return Ok(None) };
        let verified = match flask_cookie.signer.verify(value, flask_cookie.lifetime, call.now) {
            Ok(verified) => verified,
            Err(rejection) => return Ok(call.refuse_credential(source, rejection.into())),
        };
        // Not derived from the text of the cookie, which has many spellings.
        let names: [&[u8]; 2] = [&verified.signature, &verified.issued.millis().to_be_bytes()];
        let token = SplitToken::derived(&call.app.name, source.as_str(), &names);
        if self.is_imported(call, source, token).await? {
            return Ok(Some(token));
        }
        // Flask still accepts a cookie of exactly this age, in whole seconds.
        let until = verified.issued + flask_cookie.lifetime + SECOND;
        let imported_from = ImportedFrom { issued: Some(verified.issued), until };
        let Some(entries) = strict_entries(&verified.entries) else {
            return Ok(call.refuse_credential(source, MigrationRefusal::Malformed));
        };
        let legacy = LegacySession { entries, permanent: verified.permanent, imported_from, context };
        self.import(call, source, token, legacy).await
    }

    /// Imports the session that Flask-Session keeps in Redis under the id in the cookie.
    async fn import_flask_session(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        value: &str,
        context: Option<&RequestContext>,
    ) -> Result<Option<SplitToken>, Error> {
        let source = MigrationSource::FlaskSession;
        let Some(flask_session) = &migration.flask_session else { return Ok(None) };
        let sid = match Sid::parse(value, &flask_session.signer_keys) {
            Ok(sid) => sid,
            Err(rejection) => return Ok(call.refuse_credential(source, rejection.into())),
        };
        let token = SplitToken::derived(&call.app.name, source.as_str(), &[sid.as_str().as_bytes()]);
        // Before the legacy record is read: a session that is imported does not depend on the other Redis.
        if self.is_imported(call, source, token).await? {
            return Ok(Some(token));
        }
        let Some(legacy_store) = &call.app.flask_sessions else { return Ok(None) };
        let (bytes, time_left) = match legacy_store.read(sid).await? {
            FlaskRecord::Record(bytes, time_left) => (bytes, time_left),
            FlaskRecord::Missing => return Ok(call.refuse_credential(source, MigrationRefusal::Unknown)),
            FlaskRecord::TooLarge => return Ok(call.refuse_credential(source, MigrationRefusal::TooLarge)),
            FlaskRecord::NotAString => return Ok(call.refuse_credential(source, MigrationRefusal::Malformed)),
        };
        let flask_session::DecodedRecord { entries, permanent } = match flask_session::DecodedRecord::decode(&bytes) {
            Ok(record) => record,
            Err(error) => return Ok(call.refuse_credential(source, error.into())),
        };
        if entries.count() == 0 {
            // Flask-Session takes a session that is empty but for `_permanent` for none, and does not store it.
            return Ok(None);
        }
        // The credential is good for as long as the legacy record is, in case `until` is moved to a later day.
        let until = time_left.map_or(migration.until, |left| migration.until.max(call.now + left));
        let legacy = LegacySession { entries, permanent, imported_from: ImportedFrom { issued: None, until }, context };
        self.import(call, source, token, legacy).await
    }

    /// Whether the session of a legacy credential was imported before. Counts what has become of it.
    pub(super) async fn is_imported(
        &self,
        call: &AppCall<'_>,
        source: MigrationSource,
        token: SplitToken,
    ) -> Result<bool, Error> {
        let session_key = call.session_key(token);
        let Some(snapshot) = self.store.load(&session_key).await? else { return Ok(false) };
        let refusal = match call.token_state(token, Some(snapshot)) {
            TokenState::Live { record, .. } => {
                if !self.end_if_revoked(call, source, &session_key, &record.head).await? {
                    self.stats.count_found(&call.app.name, source);
                }
                return Ok(true);
            }
            TokenState::Gone(Some(EndReason::Revoked)) => MigrationRefusal::Revoked,
            TokenState::Gone(_) | TokenState::Superseded(..) => MigrationRefusal::Ended,
        };
        call.refuse_credential(source, refusal);
        Ok(true)
    }
}

/// Entries of Flask's signer in strict JSON; `None` if one is JSON for Python only.
fn strict_entries(entries: &Entries) -> Option<Entries> {
    let strict = |(name, stored)| Some((name, strict(std::str::from_utf8(stored).ok()?)?));
    let entries = entries.iter().map(strict).collect::<Option<Vec<(&str, Cow<'_, str>)>>>()?;
    Some(Entries::pack(entries.iter().map(|(name, json)| (*name, json.as_bytes()))))
}

impl From<flask::CookieRejection> for MigrationRefusal {
    fn from(rejection: flask::CookieRejection) -> Self {
        match rejection {
            flask::CookieRejection::BadSignature => Self::BadSignature,
            flask::CookieRejection::Expired => Self::Expired,
            flask::CookieRejection::FromTheFuture => Self::FromTheFuture,
            flask::CookieRejection::TooLarge => Self::TooLarge,
            flask::CookieRejection::Malformed | flask::CookieRejection::Payload => Self::Malformed,
        }
    }
}

impl From<SidRejection> for MigrationRefusal {
    fn from(rejection: SidRejection) -> Self {
        match rejection {
            SidRejection::Malformed => Self::Malformed,
            SidRejection::BadSignature => Self::BadSignature,
        }
    }
}

impl From<RecordError> for MigrationRefusal {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Pickle => Self::Pickle,
            RecordError::Malformed => Self::Malformed,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
