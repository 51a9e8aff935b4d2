//! Imports what scs, for Go, keeps in Redis.

use std::borrow::Cow;

use super::super::import::LegacySession;
use super::super::stats::MigrationRefusal;
use super::super::{AppCall, Error, Service};
use crate::app::{Migration, MigrationSource};
use crate::scs::{DecodedRecord, RecordError, Token};
use crate::session::{ImportedFrom, RequestContext};
use crate::token::SplitToken;

impl Service {
    /// Imports the session whose record is in Redis under the token in the cookie, or under its hash.
    pub(super) async fn import_scs(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        value: &str,
        context: Option<&RequestContext>,
    ) -> Result<Option<SplitToken>, Error> {
        let source = MigrationSource::Scs;
        let Some(scs) = &migration.scs else { return Ok(None) };
        let Some(legacy_token) = Token::parse(value) else {
            return Ok(call.refuse_credential(source, MigrationRefusal::Malformed));
        };
        let token = SplitToken::derived(&call.app.name, source.as_str(), &[legacy_token.as_str().as_bytes()]);
        // Before the legacy record is read: a session that is imported does not depend on the other Redis.
        if self.is_imported(call, source, token).await? {
            return Ok(Some(token));
        }
        let id = if scs.hash_token { legacy_token.hash().into() } else { Cow::Borrowed(legacy_token.as_str()) };
        let record = match call.read_record(source, &id).await? {
            Ok(record) => record,
            Err(refusal) => return Ok(call.refuse_credential(source, refusal)),
        };
        let session = match DecodedRecord::decode(&record.bytes) {
            Ok(session) if session.deadline <= call.now => {
                return Ok(call.refuse_credential(source, MigrationRefusal::Expired));
            }
            Ok(session) if session.entries.count() == 0 => return Ok(None),
            Ok(session) => session,
            Err(error) => return Ok(call.refuse_credential(source, error.into())),
        };
        let imported_from = ImportedFrom { issued: None, until: record.until(migration, call.now) };
        let permanent = Some(scs.persist || session.remembered);
        let legacy = LegacySession {
            deadline_time: Some(session.deadline),
            ..LegacySession::new(session.entries, permanent, imported_from, context)
        };
        self.import(call, source, token, legacy).await
    }
}

impl From<RecordError> for MigrationRefusal {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Malformed => Self::Malformed,
            RecordError::TooLarge => Self::TooLarge,
        }
    }
}
