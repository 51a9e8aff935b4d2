//! Revoking: an operator ends one session, all sessions of a subject, or all of an app.

use super::index::subject_ref;
use super::outcome::Outcome;
use super::{Error, Service};
use crate::session::{Authority, Denial, EndReason, Precondition, Subject};
use crate::store::{self, Applied, Cursor, IndexPage, Revocation, SessionKey, Write};
use crate::telemetry::CallContext;
use crate::token::SessionId;

impl Service {
    /// Ends one session, whatever its token is by now.
    ///
    /// The outcome is [`Outcome::Deleted`] or [`Outcome::Gone`]. Fails if the app is unknown or of kind `cookie`, or if
    /// the store does not answer.
    pub async fn revoke_session(&self, app: &str, id: SessionId) -> Result<Outcome, Error> {
        let app = self.stored_app(app, "RevokeSession")?;
        let session_key = SessionKey { app: app.name.clone(), id };
        let precondition = Precondition::unconditional(Authority::Admin, self.clock.now());
        Ok(match self.apply(&session_key, &precondition, &Write::End(EndReason::Revoked)).await? {
            Applied::Done(_) => Outcome::Deleted(EndReason::Revoked),
            Applied::Denied(Denial::Gone(reason)) => Outcome::Gone(reason),
            Applied::Missing => Outcome::Gone(None),
            // An end without conditions is denied for no other reason, and never refused.
            Applied::Denied(_) | Applied::Refused(_) => return Err(store::Error::Corrupt.into()),
        })
    }

    /// Ends the sessions of a subject, all but `except`. Returns how many it ended.
    ///
    /// It misses no session whose subject was set by a call that was answered before. A legacy session of the subject
    /// that is not imported yet, and was issued before, will not be imported. Fails as [`Self::revoke_session`]; a
    /// repetition ends the rest. If it fails because a session is damaged, which nobody can open, or because an end is not
    /// acknowledged, it has ended all others.
    pub async fn revoke_subject(&self, app: &str, subject: &Subject, except: Option<SessionId>) -> Result<u32, Error> {
        let app = self.stored_app(app, "RevokeSubject")?;
        let (subject_ref, now) = (subject_ref(&app, subject), self.clock.now());
        // If one step fails, the others are done all the same, and a repetition does the rest.
        let mut failed = None;
        if let Some(migration) = app.migration.as_ref().filter(|migration| now < migration.until) {
            // Before the listing: a session that is imported meanwhile is in the listing, or its import meets this.
            let revocation = Revocation { time: now, until: migration.remembered_until(now), except };
            failed = self.store.record_revocation(&subject_ref, &revocation).await.err().map(Error::from);
        }
        let (mut from, mut ended) = (Cursor::default(), 0);
        loop {
            let IndexPage { entries, next } = self.store.list_index(&subject_ref, &from).await?;
            let ids = entries.iter().map(|entry| entry.id).filter(|id| Some(*id) != except).collect();
            let (count, all) = self.end_subject_sessions(&subject_ref, ids, EndReason::Revoked, now).await;
            ended += count;
            match all {
                Err(Error::Store(error)) if error.is_of_one_session() => failed = failed.or(Some(error.into())),
                all => all?,
            }
            let Some(next) = next else { return failed.map_or(Ok(ended), Err) };
            from = next;
        }
    }

    /// Ends every session of an app that was created before, by raising the app's generation.
    ///
    /// It takes the same time however many sessions there are. Fails as [`Self::revoke_session`].
    pub async fn revoke_app(&self, app: &str) -> Result<(), Error> {
        let app = self.stored_app(app, "RevokeApp")?;
        let (service, app, now) = (self.clone(), app.name.clone(), self.clock.now());
        let revoke = async move {
            let revoked = service.store.revoke_app(&app, now).await;
            // Sessions may have ended even if it fails. Two lines of a call that is repeated say nothing wrong.
            if let Ok(()) | Err(store::Error::RevokedInPart { .. } | store::Error::NotAcknowledged { .. }) = revoked {
                service.audit_app_revocation(&app, now);
            }
            Ok(revoked?)
        };
        self.audit_log.run_to_end(CallContext::inherit(revoke)).await
    }
}
