//! Auditing: adds each end of a session to the audit log, and reads it again.
//!
//! Every write of the service passes [`Service::audit`], and goes on if its caller goes away, so no end that a call makes
//! is missed, but for one whose answer of Redis is lost. Who made the call is known from its context.

use super::{Error, Service};
use crate::audit::{SearchResult, SessionEnd, Wanted};
use crate::session::{Done, EndReason};
use crate::store::{SessionKey, Write};
use crate::telemetry::CallContext;
use crate::types::{AppName, Time};

/// The ends in the audit log of this process.
#[derive(Clone, Debug)]
pub struct SessionEnds {
    pub found: SearchResult,
    /// The ends since the start of the process that are not in the log.
    pub lost: u64,
}

impl Service {
    /// Adds a write to the audit log if it ended the session, or replaced its token.
    pub(super) fn audit(&self, session_key: &SessionKey, time: Time, write: &Write, done: &Done) {
        let reason = match &done.head.end {
            Some(end) => end.reason,
            None if write.has_replaced_token(&done.head) => EndReason::Superseded,
            None => return,
        };
        self.audit_log.add(|| SessionEnd {
            id: Some(session_key.id),
            subject: done.head.subject.clone().or_else(|| done.subject_before.clone()),
            create_time: Some(done.head.create_time),
            access_time: Some(done.head.access_time),
            ..by_this_call(&session_key.app, time, reason)
        });
    }

    /// Adds to the audit log that all sessions of an app have ended.
    pub(super) fn audit_app_revocation(&self, app: &AppName, time: Time) {
        self.audit_log.add(|| by_this_call(app, time, EndReason::Revoked));
    }

    /// Returns the ends of a session or of a subject's sessions in the audit log, and those of the whole app. The newest
    /// first. `None`: there is no audit log.
    ///
    /// Only the ends that this process noted, and others whose files are in the same folder. Fails if the app is unknown
    /// or of kind `cookie`, or if the files cannot be read.
    pub async fn list_session_ends(&self, app: &str, wanted: Wanted) -> Result<Option<SessionEnds>, Error> {
        let app = self.stored_app(app, "ListSessionEnds")?.name.clone();
        let Some(counts) = self.audit_log.counts() else { return Ok(None) };
        let found = self.audit_log.search(app, wanted).await?;
        Ok(found.map(|found| SessionEnds { found, lost: counts.lost }))
    }
}

/// An end that the call of this task has made, without a session.
fn by_this_call(app: &AppName, time: Time, reason: EndReason) -> SessionEnd {
    let call = CallContext::current();
    let call = call.as_ref();
    SessionEnd {
        time,
        app: app.clone(),
        id: None,
        subject: None,
        reason,
        create_time: None,
        access_time: None,
        caller: call.and_then(CallContext::caller).unwrap_or_default().to_owned(),
        rpc: call.map(CallContext::rpc).unwrap_or_default().to_owned(),
        call_id: call.map(|call| call.id().to_string()).unwrap_or_default(),
    }
}
