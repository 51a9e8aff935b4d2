//! Migration: imports the legacy sessions that a request's cookies name, if none of the cookies is a token.
//!
//! The token of the imported session is derived from the legacy credential. So every request with the credential, at
//! every replica, finds the same session, and a session that has ended stays ended.

mod django;
mod express;
mod flask;
mod scs;

use std::time::Duration;

use super::call_counts::Found;
use super::credential::{PresentedToken, TokenState};
use super::import::LegacySession;
use super::stats::MigrationRefusal;
use super::{AppCall, Error, Service, Tokens};
use crate::app::{Migration, MigrationSource};
use crate::cookie;
use crate::session::{EndReason, ImportedFrom, RequestContext};
use crate::store::LegacyRecord;
use crate::token::{self, CookieNote, SplitToken};
use crate::types::Time;

/// Where the record of a legacy session is.
struct RecordName<'n> {
    source: MigrationSource,
    /// The secret that the browser shows, from which the token of the imported session is derived.
    secret: &'n str,
    /// The id of the record in the Redis of the source.
    id: &'n str,
}

/// A record of a legacy session, as it was read from the Redis of its source.
struct FoundRecord {
    bytes: Vec<u8>,
    /// The time until Redis expires it; `None` if it never does.
    time_left: Option<Duration>,
}

impl FoundRecord {
    /// Until when the credential is good: as long as the record is, in case the end of the migration is moved to a
    /// later day.
    fn until(&self, migration: &Migration, now: Time) -> Time {
        self.time_left.map_or(migration.remembered_until(now), |left| migration.until.max(now + left))
    }
}

impl AppCall<'_> {
    /// The app's migration, if it still imports.
    pub(in crate::service) fn open_migration(&self) -> Option<&Migration> {
        self.app.migration.as_ref().filter(|migration| self.now < migration.until)
    }

    /// Whether a header has a cookie that may be a legacy credential, while the app imports.
    pub(in crate::service) fn has_legacy_credential(&self, header: &str) -> bool {
        self.open_migration().is_some_and(|migration| !self.legacy_credentials(migration, header).is_empty())
    }

    /// Returns the cookies of a header that may be legacy credentials, each with the source that it is shaped for.
    ///
    /// A text that is shaped like a token or a ticket, valid or not, is no legacy credential.
    fn legacy_credentials<'h>(&self, migration: &Migration, header: &'h str) -> Vec<(MigrationSource, &'h str)> {
        let Some(Tokens { cookie, .. }) = &self.tokens else { return Vec::new() };
        let of_source = |source: MigrationSource| {
            let name = migration.cookie_name(source).map_or(&cookie.attributes().name, |name| name);
            let looks_like_token =
                move |value: &&str| !value.is_empty() && !token::looks_like_token(value) && source.has_shape_of(value);
            let credentials = cookie::values(header, name.as_str()).filter(looks_like_token);
            credentials.map(move |value| (source, value)).collect::<Vec<_>>()
        };
        migration.sources().flat_map(of_source).take(cookie::MAX_CANDIDATES).collect()
    }

    /// Reads the record of a session with this id.
    async fn read_record(
        &self,
        source: MigrationSource,
        id: &str,
    ) -> Result<Result<FoundRecord, MigrationRefusal>, Error> {
        let Some(reader) = self.app.legacy_reader(source) else { return Ok(Err(MigrationRefusal::Unknown)) };
        Ok(match reader.read(id).await? {
            LegacyRecord::Record(bytes, time_left) => Ok(FoundRecord { bytes, time_left }),
            LegacyRecord::Missing => Err(MigrationRefusal::Unknown),
            LegacyRecord::TooLarge => Err(MigrationRefusal::TooLarge),
            LegacyRecord::NotAString => Err(MigrationRefusal::Malformed),
        })
    }

    /// Counts a legacy credential that opens nothing. Returns `None`: it has no token.
    pub(in crate::service) fn refuse_credential(
        &self,
        source: MigrationSource,
        reason: MigrationRefusal,
    ) -> Option<SplitToken> {
        self.stats.count_refused(&self.app.name, source, reason);
        self.finding.note(Found::LegacyRefused);
        None
    }
}

impl Service {
    /// Returns the tokens that the legacy credentials in a header lead to. Imports a session that is not yet imported.
    pub(in crate::service) async fn import_legacy_sessions(
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
                MigrationSource::DjangoCookie => self.import_django_cookie(call, migration, value, context).await?,
                MigrationSource::DjangoSession => self.import_django_session(call, migration, value, context).await?,
                MigrationSource::ExpressSession => self.import_express_session(call, migration, value, context).await?,
                MigrationSource::Scs => self.import_scs(call, migration, value, context).await?,
            };
            // The browser has no token yet, so the response has to set one.
            let token = token.map(|token| PresentedToken { token, text: None, note: CookieNote::Set });
            tokens.extend(token.filter(|new| tokens.iter().all(|other| other.token != new.token)));
        }
        Ok(tokens)
    }

    /// Imports the session of a record, unless that was done before.
    ///
    /// `read` makes a session of the record. `Ok(None)`: it holds nothing.
    async fn import_record<'r>(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        RecordName { source, secret, id }: RecordName<'_>,
        read: impl FnOnce(&FoundRecord, ImportedFrom) -> Result<Option<LegacySession<'r>>, MigrationRefusal>,
    ) -> Result<Option<SplitToken>, Error> {
        let token = SplitToken::derived(&call.app.name, source.as_str(), &[secret.as_bytes()]);
        // Before the legacy record is read: a session that is imported does not depend on the other Redis.
        if self.is_imported(call, source, token).await? {
            return Ok(Some(token));
        }
        let legacy = call
            .read_record(source, id)
            .await?
            .and_then(|record| read(&record, ImportedFrom { issued: None, until: record.until(migration, call.now) }));
        match legacy {
            Ok(Some(legacy)) => self.import(call, source, token, legacy).await,
            Ok(None) => Ok(None),
            Err(refusal) => Ok(call.refuse_credential(source, refusal)),
        }
    }

    /// Whether the session of a legacy credential was imported before. Counts what has become of it.
    pub(in crate::service) async fn is_imported(
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
            // A logout presents the credential of the session that it has ended.
            TokenState::Gone(_) if call.ended.lock().contains(&session_key.id) => return Ok(true),
            TokenState::Gone(Some(EndReason::Revoked)) => MigrationRefusal::Revoked,
            TokenState::Gone(_) | TokenState::Superseded(..) => MigrationRefusal::Ended,
        };
        call.refuse_credential(source, refusal);
        Ok(true)
    }
}
