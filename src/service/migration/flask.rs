//! Imports Flask's signed cookies, and what Flask-Session keeps in Redis.

use std::borrow::Cow;
use std::time::Duration;

use super::super::import::LegacySession;
use super::super::stats::MigrationRefusal;
use super::super::{AppCall, Error, Service};
use super::{FoundRecord, RecordName};
use crate::app::{Migration, MigrationSource};
use crate::flask;
use crate::flask::flask_session::{DecodedRecord, RecordError, Sid, SidRejection, strict};
use crate::session::{Entries, ImportedFrom, RequestContext};
use crate::token::SplitToken;

impl Service {
    /// Imports the session in Flask's own signed cookie.
    pub(super) async fn import_flask_cookie(
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
        let valid_until = verified.issued + flask_cookie.lifetime + SECOND;
        // If the lifetime is raised, a cookie whose session has ended must not be imported again.
        let imported_from = ImportedFrom { issued: Some(verified.issued), until: migration.until.max(valid_until) };
        let Some(entries) = strict_entries(&verified.entries) else {
            return Ok(call.refuse_credential(source, MigrationRefusal::Malformed));
        };
        let legacy = LegacySession::new(entries, verified.permanent, imported_from, context);
        self.import(call, source, token, legacy).await
    }

    /// Imports the session that Flask-Session keeps in Redis under the id in the cookie.
    pub(super) async fn import_flask_session(
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
        let name = RecordName { source, secret: sid.as_str(), id: sid.as_str() };
        let read = |record: &FoundRecord, imported_from| {
            let DecodedRecord { entries, permanent } = DecodedRecord::decode(&record.bytes)?;
            // Flask-Session takes a session that is empty but for `_permanent` for none, and does not store it.
            let is_empty = entries.count() == 0;
            Ok((!is_empty).then(|| LegacySession::new(entries, permanent, imported_from, context)))
        };
        self.import_record(call, migration, name, read).await
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
