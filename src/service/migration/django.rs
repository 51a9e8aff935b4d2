//! Imports Django's signed cookies, and its sessions that are found by a session key.

use std::time::Duration;

use super::super::import::LegacySession;
use super::super::stats::MigrationRefusal;
use super::super::{AppCall, Error, Service};
use super::{FoundRecord, RecordName};
use crate::app::{Migration, MigrationSource};
use crate::django::{DecodedSession, DjangoSessionKey, SessionExpiry, SessionRejection};
use crate::session::{ImportedFrom, RequestContext};
use crate::token::SplitToken;

impl Service {
    /// Imports the session in Django's signed cookie.
    pub(super) async fn import_django_cookie(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        value: &str,
        context: Option<&RequestContext>,
    ) -> Result<Option<SplitToken>, Error> {
        let source = MigrationSource::DjangoCookie;
        let Some(django_cookie) = &migration.django_cookie else { return Ok(None) };
        let verified = match django_cookie.signer.verify_cookie(value, django_cookie.lifetime, call.now) {
            Ok(verified) => verified,
            Err(rejection) => return Ok(call.refuse_credential(source, rejection.into())),
        };
        let token = SplitToken::derived(&call.app.name, source.as_str(), &[&verified.signature]);
        if self.is_imported(call, source, token).await? {
            return Ok(Some(token));
        }
        // It may be signed a little later than now. A revocation from now on covers it all the same.
        let issued = Some(verified.issued.min(call.now));
        // The cookie is still good in its last millisecond. If the lifetime is raised, one whose session has ended must not
        // be imported again.
        let imported_from = ImportedFrom { issued, until: migration.until.max(verified.until + MILLISECOND) };
        let session = verified.session;
        if session.entries.count() == 0 {
            return Ok(None);
        }
        let legacy = legacy_session(session, django_cookie.expire_at_browser_close, imported_from, context);
        self.import(call, source, token, legacy).await
    }

    /// Imports the session whose record is in Redis under the session key in the cookie.
    pub(super) async fn import_django_session(
        &self,
        call: &AppCall<'_>,
        migration: &Migration,
        value: &str,
        context: Option<&RequestContext>,
    ) -> Result<Option<SplitToken>, Error> {
        let source = MigrationSource::DjangoSession;
        let Some(django_session) = &migration.django_session else { return Ok(None) };
        let Some(key) = DjangoSessionKey::parse(value) else {
            return Ok(call.refuse_credential(source, MigrationRefusal::Malformed));
        };
        let name = RecordName { source, secret: key.as_str(), id: key.as_str() };
        let read = |record: &FoundRecord, imported_from| {
            let session = match &django_session.signer {
                Some(signer) => signer.verify_row(&record.bytes),
                None => DecodedSession::decode(&record.bytes),
            }?;
            if session.expiry.end(call.now).is_some_and(|end| end <= call.now) {
                return Err(MigrationRefusal::Expired);
            }
            // The text of a row says when it was saved last. The session key may be older, so it has no time of issue.
            let is_empty = session.entries.count() == 0;
            let expire_at_browser_close = django_session.expire_at_browser_close;
            Ok((!is_empty).then(|| legacy_session(session, expire_at_browser_close, imported_from, context)))
        };
        self.import_record(call, migration, name, read).await
    }
}

/// Gives a session what Django means by its expiry.
///
/// Without one, the settings of the application say whether the cookie outlives the browser, and the app's settings for
/// how long. An expiry in seconds is one without use, as `idle_timeout` is.
fn legacy_session(
    DecodedSession { entries, expiry }: DecodedSession,
    expire_at_browser_close: bool,
    imported_from: ImportedFrom,
    context: Option<&RequestContext>,
) -> LegacySession<'_> {
    let (permanent, idle_timeout, deadline_time) = match expiry {
        SessionExpiry::Default => (!expire_at_browser_close, None, None),
        SessionExpiry::WithBrowser => (false, None, None),
        SessionExpiry::Idle(idle_timeout) => (true, Some(idle_timeout), None),
        SessionExpiry::At(time) => (true, None, Some(time)),
    };
    LegacySession { entries, permanent: Some(permanent), idle_timeout, deadline_time, imported_from, context }
}

impl From<SessionRejection> for MigrationRefusal {
    fn from(rejection: SessionRejection) -> Self {
        match rejection {
            SessionRejection::Malformed => Self::Malformed,
            SessionRejection::BadSignature => Self::BadSignature,
            SessionRejection::Expired => Self::Expired,
            SessionRejection::FromTheFuture => Self::FromTheFuture,
            SessionRejection::Pickle => Self::Pickle,
            SessionRejection::TooLarge => Self::TooLarge,
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
