//! Imports what scs, for Go, keeps in Redis.

use std::borrow::Cow;

use super::super::import::LegacySession;
use super::super::stats::MigrationRefusal;
use super::super::{AppCall, Error, Service};
use super::{FoundRecord, RecordName};
use crate::app::{Migration, MigrationSource};
use crate::scs::{DecodedRecord, RecordError, Token};
use crate::session::RequestContext;
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
        let id = if scs.hash_token { legacy_token.hash().into() } else { Cow::Borrowed(legacy_token.as_str()) };
        let name = RecordName { source, secret: legacy_token.as_str(), id: &id };
        let read = |record: &FoundRecord, imported_from| {
            let session = DecodedRecord::decode(&record.bytes)?;
            if session.deadline <= call.now {
                return Err(MigrationRefusal::Expired);
            }
            if session.entries.count() == 0 {
                return Ok(None);
            }
            let permanent = Some(scs.persist || session.remembered);
            let legacy = LegacySession::new(session.entries, permanent, imported_from, context);
            Ok(Some(LegacySession { deadline_time: Some(session.deadline), ..legacy }))
        };
        self.import_record(call, migration, name, read).await
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
