//! Revoking: an operator ends sessions, one, a subject's, or all of an app.

use tracing::info;

use super::index::owner;
use super::view::Fate;
use super::{Error, Service};
use crate::session::{By, EndReason, Guard, Subject, Verdict};
use crate::store::{Applied, Place, Revocation, Store, Write};
use crate::token::Id;

impl<S: Store> Service<S> {
    /// Ends one session, whatever its token is by now.
    pub async fn revoke_session(&self, app: &str, id: Id) -> Result<Fate, Error> {
        let app = self.stored_app(app, "RevokeSession")?;
        let place = Place { app: app.name.clone(), id };
        let guard = Guard { by: By::Admin, etag: None, fingerprint: None, now: self.clock.now() };
        Ok(match self.apply(&place, &guard, &Write::End(EndReason::Revoked)).await? {
            Applied::Done(_) => Fate::Deleted(EndReason::Revoked),
            Applied::Judged(Verdict::Gone(reason)) => Fate::Gone(reason),
            Applied::Judged(_) | Applied::Refused(_) | Applied::Missing => Fate::Gone(None),
        })
    }

    /// Ends every session of a subject, but for one perhaps. Answers how many it ended.
    ///
    /// None is missed whose subject was set by a call that was answered before: it was entered first. What has not come
    /// in yet, and was issued before, does not come in.
    pub async fn revoke_subject(&self, app: &str, subject: &Subject, except: Option<Id>) -> Result<u32, Error> {
        let app = self.stored_app(app, "RevokeSubject")?;
        let (owner, now) = (owner(&app, subject), self.clock.now());
        if let Some(accept) = app.accept.as_ref().filter(|accept| now < accept.until) {
            // Before the listing: what comes in meanwhile is met by it, or meets this.
            self.store.revoke(&owner, &Revocation { time: now, until: accept.until, except }).await?;
        }
        let entries = self.store.entries(&owner).await?;
        let ids = entries.iter().map(|entry| entry.id).filter(|id| Some(*id) != except).collect();
        self.end_of(&owner, ids, (EndReason::Revoked, now)).await
    }

    /// Ends every session of an app that was created before, by raising the app's generation.
    pub async fn revoke_app(&self, app: &str) -> Result<(), Error> {
        let app = self.stored_app(app, "RevokeApp")?;
        self.store.revoke_app(&app.name, self.clock.now()).await?;
        info!(app = %app.name, "every session of the app is revoked");
        Ok(())
    }
}
