//! Revoking: an operator ends sessions, one, a subject's, or all of an app.

use tracing::info;

use super::index::subject_ref;
use super::view::Outcome;
use super::{Error, Service};
use crate::session::{Authority, Denial, EndReason, Precondition, Subject};
use crate::store::{Applied, Revocation, SessionKey, Write};
use crate::token::SessionId;

impl Service {
    /// Ends one session, whatever its token is by now.
    pub async fn revoke_session(&self, app: &str, id: SessionId) -> Result<Outcome, Error> {
        let app = self.stored_app(app, "RevokeSession")?;
        let session_key = SessionKey { app: app.name.clone(), id };
        let precondition =
            Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now: self.clock.now() };
        Ok(match self.apply(&session_key, &precondition, &Write::End(EndReason::Revoked)).await? {
            Applied::Done(_) => Outcome::Deleted(EndReason::Revoked),
            Applied::Denied(Denial::Gone(reason)) => Outcome::Gone(reason),
            Applied::Denied(_) | Applied::Refused(_) | Applied::Missing => Outcome::Gone(None),
        })
    }

    /// Ends every session of a subject, but for one perhaps. Answers how many it ended.
    ///
    /// None is missed whose subject was set by a call that was answered before: it was entered first. What has not come
    /// in yet, and was issued before, does not come in.
    pub async fn revoke_subject(&self, app: &str, subject: &Subject, except: Option<SessionId>) -> Result<u32, Error> {
        let app = self.stored_app(app, "RevokeSubject")?;
        let (subject_ref, now) = (subject_ref(&app, subject), self.clock.now());
        if let Some(migration) = app.migration.as_ref().filter(|migration| now < migration.until) {
            // Before the listing: what comes in meanwhile is met by it, or meets this.
            self.store
                .record_revocation(&subject_ref, &Revocation { time: now, until: migration.until, except })
                .await?;
        }
        let entries = self.store.list_index(&subject_ref).await?;
        let ids = entries.iter().map(|entry| entry.id).filter(|id| Some(*id) != except).collect();
        self.end_of(&subject_ref, ids, (EndReason::Revoked, now)).await
    }

    /// Ends every session of an app that was created before, by raising the app's generation.
    pub async fn revoke_app(&self, app: &str) -> Result<(), Error> {
        let app = self.stored_app(app, "RevokeApp")?;
        self.store.revoke_app(&app.name, self.clock.now()).await?;
        info!(app = %app.name, "every session of the app is revoked");
        Ok(())
    }
}
