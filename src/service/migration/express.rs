//! Imports what express-session keeps in Redis, by connect-redis.

use super::super::import::LegacySession;
use super::super::stats::MigrationRefusal;
use super::super::{AppCall, Error, Service};
use super::{FoundRecord, RecordName};
use crate::app::{Migration, MigrationSource};
use crate::express::{CookieLifetime, DecodedRecord, SidRejection};
use crate::session::{ImportedFrom, RequestContext};
use crate::token::SplitToken;
use crate::types::Time;

impl Service {
    /// Imports the session whose record is in Redis under the signed id in the cookie.
    pub(super) async fn import_express_session(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        value: &str,
        context: Option<&RequestContext>,
    ) -> Result<Option<SplitToken>, Error> {
        let source = MigrationSource::ExpressSession;
        let Some(express_session) = &migration.express_session else { return Ok(None) };
        let sid = match express_session.signer.verify(value) {
            Ok(sid) => sid,
            Err(rejection) => return Ok(call.refuse_credential(source, rejection.into())),
        };
        let name = RecordName { source, secret: sid.as_str(), id: sid.as_str() };
        let read = |record: &FoundRecord, imported_from| {
            let session = DecodedRecord::decode(&record.bytes).ok_or(MigrationRefusal::Malformed)?;
            // While Redis expires the record, Redis knows its end: a use moves the end there only.
            let end = if record.time_left.is_some() { session.lifetime.end() } else { session.expire_time };
            if end.is_some_and(|end| end <= call.now) {
                return Err(MigrationRefusal::Expired);
            }
            let is_empty = session.entries.count() == 0;
            Ok((!is_empty).then(|| legacy_session(session, imported_from, context)))
        };
        self.import_record(call, migration, name, read).await
    }
}

/// Gives a session the lifetime that its cookie has. `maxAge` is one without use, as `idle_timeout` is.
fn legacy_session(
    DecodedRecord { entries, lifetime, .. }: DecodedRecord,
    imported_from: ImportedFrom,
    context: Option<&RequestContext>,
) -> LegacySession<'_> {
    let (permanent, idle_timeout) = match lifetime {
        CookieLifetime::WithBrowser => (false, None),
        CookieLifetime::Idle(idle_timeout) => (true, Some(idle_timeout)),
        CookieLifetime::At(_) => (true, None),
    };
    let deadline_time = lifetime.end();
    LegacySession { entries, permanent: Some(permanent), idle_timeout, deadline_time, imported_from, context }
}

impl CookieLifetime {
    /// When the session ends however much it is used; `None` if it does not.
    const fn end(self) -> Option<Time> {
        match self {
            Self::At(time) => Some(time),
            Self::WithBrowser | Self::Idle(_) => None,
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
