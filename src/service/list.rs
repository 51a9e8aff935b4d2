//! Listing: which sessions there are, for operators and for the page of a user's devices.

use std::cmp::Reverse;

use super::index::{SubjectSession, ended, lives, subject_ref};
use super::{Error, Service};
use crate::session::{EndReason, Entries, Record, Subject};
use crate::store::{Cursor, SessionKey};
use crate::token::SessionId;

/// A session as an operator sees it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Its handle.
    pub id: SessionId,
    /// What is kept of it; its entries only if they were asked for.
    pub record: Record,
    /// Why it has ended, if it has.
    pub end_reason: Option<EndReason>,
}

/// Whether what a session holds is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithEntries {
    /// No.
    No,
    /// Yes.
    Yes,
}

/// A part of an app's sessions.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The live ones that were met.
    pub sessions: Vec<SessionInfo>,
    /// Where to go on; nothing at the end.
    pub next: Option<Cursor>,
}

impl Service {
    /// The live sessions of a subject, the one used last first.
    pub async fn list_subject(
        &self,
        app: &str,
        subject: &Subject,
        with: WithEntries,
    ) -> Result<Vec<SessionInfo>, Error> {
        let app = self.stored_app(app, "ListSessions")?;
        let mut subject_sessions = self.subject_sessions(&subject_ref(&app, subject), with, self.clock.now()).await?;
        subject_sessions.sort_unstable_by_key(|subject_sessions| {
            Reverse((subject_sessions.record.head.access_time, subject_sessions.id))
        });
        Ok(subject_sessions.into_iter().map(|SubjectSession { id, record }| info(id, record, None, with)).collect())
    }

    /// A page of about `limit` of an app's sessions: the live ones of it.
    pub async fn list_app(
        &self,
        app: &str,
        from: &Cursor,
        (limit, with): (usize, WithEntries),
    ) -> Result<SessionPage, Error> {
        let app = self.stored_app(app, "ListSessions")?;
        let now = self.clock.now();
        let page = self.store.scan(&app.name, from, limit).await?;
        let subject_sessions = page.sessions.into_iter().filter(|(_, snapshot)| lives(snapshot, now));
        let sessions = subject_sessions.map(|(id, snapshot)| info(id, snapshot.record, None, with)).collect();
        Ok(SessionPage { sessions, next: page.next })
    }

    /// One session, alive or lately ended.
    pub async fn session(&self, app: &str, id: SessionId, with: WithEntries) -> Result<SessionInfo, Error> {
        let app = self.stored_app(app, "GetSession")?;
        let snapshot =
            self.store.load(&SessionKey { app: app.name.clone(), id }).await?.ok_or(Error::SessionUnknown)?;
        match ended(&snapshot, self.clock.now()) {
            None => Ok(info(id, snapshot.record, None, with)),
            Some(None) => Err(Error::SessionUnknown),
            Some(reason) => Ok(info(id, snapshot.record, reason, WithEntries::No)),
        }
    }
}

fn info(id: SessionId, mut record: Record, end_reason: Option<EndReason>, with: WithEntries) -> SessionInfo {
    if with == WithEntries::No {
        record.entries = Entries::default();
    }
    SessionInfo { id, record, end_reason }
}
