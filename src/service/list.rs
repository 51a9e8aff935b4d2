//! Listing: the sessions of a subject or of an app, for operators and for the page of a user's devices.

use std::cmp::Reverse;

use super::index::{WithEntries, subject_ref};
use super::liveness::{Liveness, is_live, liveness};
use super::{Error, Service};
use crate::session::{EndReason, Entries, Record, Subject};
use crate::store::{Cursor, SessionKey};
use crate::token::SessionId;

/// A session as an operator sees it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub id: SessionId,
    /// Its entries are there only with [`WithEntries::Yes`], and only while the session lives.
    pub record: Record,
    /// Why the session has ended; `None` while it lives.
    pub end_reason: Option<EndReason>,
}

/// A page of the sessions of a subject or of an app.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The live sessions of the page. They may be none, even if more pages follow.
    pub sessions: Vec<SessionInfo>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<Cursor>,
}

impl Service {
    /// Returns a page of a subject's live sessions, the one used last first.
    ///
    /// `from` is the default cursor, or the `next` of the page before. A page is about [`INDEX_PAGE_ENTRIES`] sessions.
    /// Fails if the app is unknown or of kind `cookie`, or if the store does not answer.
    ///
    /// [`INDEX_PAGE_ENTRIES`]: crate::store::INDEX_PAGE_ENTRIES
    pub async fn list_subject(
        &self,
        app: &str,
        subject: &Subject,
        from: &Cursor,
        with_entries: WithEntries,
    ) -> Result<SessionPage, Error> {
        let app = self.stored_app(app, "ListSessions")?;
        let subject_ref = subject_ref(&app, subject);
        let (mut sessions, next) = self.subject_sessions(&subject_ref, from, with_entries, self.clock.now()).await?;
        sessions.sort_unstable_by_key(|session| Reverse((session.record.head.access_time, session.id)));
        let sessions = sessions.into_iter().map(|session| info(session.id, session.record, None, with_entries));
        Ok(SessionPage { sessions: sessions.collect(), next })
    }

    /// Returns a page of an app's live sessions: about `limit` records are read for it.
    ///
    /// `from` is the default cursor, or the `next` of the page before. Fails as [`Self::list_subject`].
    pub async fn list_app(
        &self,
        app: &str,
        from: &Cursor,
        limit: usize,
        with_entries: WithEntries,
    ) -> Result<SessionPage, Error> {
        let app = self.stored_app(app, "ListSessions")?;
        let now = self.clock.now();
        let page = self.store.scan(&app.name, from, limit).await?;
        let live = page.sessions.into_iter().filter(|(_, snapshot)| is_live(snapshot, now));
        let sessions = live.map(|(id, snapshot)| info(id, snapshot.record, None, with_entries)).collect();
        Ok(SessionPage { sessions, next: page.next })
    }

    /// Returns one session, live or ended less than 16 minutes ago.
    ///
    /// Fails with [`Error::SessionUnknown`] if there is none, and as [`Self::list_subject`].
    pub async fn session(&self, app: &str, id: SessionId, with_entries: WithEntries) -> Result<SessionInfo, Error> {
        let app = self.stored_app(app, "GetSession")?;
        let snapshot =
            self.store.load(&SessionKey { app: app.name.clone(), id }).await?.ok_or(Error::SessionUnknown)?;
        match liveness(&snapshot, self.clock.now()) {
            Liveness::Live => Ok(info(id, snapshot.record, None, with_entries)),
            Liveness::Ended(reason) => Ok(info(id, snapshot.record, Some(reason), WithEntries::No)),
            Liveness::Forgotten => Err(Error::SessionUnknown),
        }
    }
}

pub(super) fn info(
    id: SessionId,
    mut record: Record,
    end_reason: Option<EndReason>,
    with_entries: WithEntries,
) -> SessionInfo {
    if with_entries == WithEntries::No {
        record.entries = Entries::default();
    }
    SessionInfo { id, record, end_reason }
}
