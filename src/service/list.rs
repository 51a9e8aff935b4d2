//! Listing: the sessions of a subject or of an app, for operators and for the page of a user's devices.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tokio::task::yield_now;

use super::index::{SubjectSession, WithEntries, subject_ref};
use super::liveness::{Liveness, is_live, liveness};
use super::{Error, Service};
use crate::app::App;
use crate::session::{EndReason, Entries, Record, Subject};
use crate::store::{Cursor, INDEX_PAGE_ENTRIES, IndexEntry, IndexPage, SessionKey, Snapshot, SubjectRef};
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
    /// `from` is the default cursor, or the `next` of the page before. A page is about [`INDEX_PAGE_ENTRIES`] sessions, or
    /// fewer if their entries are large. Fails if the app is unknown or of kind `cookie`, or if the store does not answer.
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
        let (mut sessions, next) = match with_entries {
            WithEntries::No => self.subject_sessions(&subject_ref, from, self.clock.now()).await?,
            WithEntries::Yes => {
                let (sessions, last) = self.subject_sessions_with_entries(&app, &subject_ref, last_of(from)).await?;
                (sessions, last.map(cursor_after))
            }
        };
        sessions.sort_unstable_by_key(|session| Reverse((session.record.head.access_time, session.id)));
        let sessions = sessions.into_iter().map(|session| info(session.id, session.record, None, with_entries));
        Ok(SessionPage { sessions: sessions.collect(), next })
    }

    /// Returns a page of a subject's live sessions, those with the lowest ids after `last`, and the last id that was looked at;
    /// `None` at the end.
    ///
    /// The pages of the index are no pages of this: in Redis, one of them may be another the next time.
    async fn subject_sessions_with_entries(
        &self,
        app: &App,
        subject_ref: &SubjectRef,
        last: Option<SessionId>,
    ) -> Result<(Vec<SubjectSession>, Option<SessionId>), Error> {
        let (entries, mut has_more) = self.lowest_index_entries(subject_ref, last).await?;
        let (mut sessions, mut bytes, mut seen) = (Vec::new(), 0, None);
        for chunk in entries.chunks(most_loaded(app)) {
            if bytes >= MAX_PAGE_BYTES {
                has_more = true;
                break;
            }
            seen = chunk.last().map(|entry| entry.id);
            let loaded = self.resolve_entries(subject_ref, chunk.to_vec(), WithEntries::Yes, self.clock.now()).await?;
            bytes += loaded.iter().map(|session| session.record.entries.bytes()).sum::<u32>();
            sessions.extend(loaded);
        }
        Ok((sessions, seen.filter(|_| has_more)))
    }

    /// Returns the index entries with the lowest ids after `last`, at most [`INDEX_PAGE_ENTRIES`], sorted, and whether there
    /// are more.
    async fn lowest_index_entries(
        &self,
        subject_ref: &SubjectRef,
        last: Option<SessionId>,
    ) -> Result<(Vec<IndexEntry>, bool), Error> {
        let (mut lowest, mut has_more, mut from) = (BTreeMap::new(), false, Cursor::default());
        loop {
            let IndexPage { entries, next } = self.store.list_index(subject_ref, &from).await?;
            let rest = entries.into_iter().filter(|entry| last.is_none_or(|last| entry.id > last));
            lowest.extend(rest.map(|entry| (entry.id, entry)));
            while lowest.len() > INDEX_PAGE_ENTRIES {
                lowest.pop_last();
                has_more = true;
            }
            let Some(next) = next else { return Ok((lowest.into_values().collect(), has_more)) };
            from = next;
        }
    }

    /// Returns a page of an app's live sessions: about `limit` records are read for it, or fewer if their entries are large.
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
        let (mut sessions, mut bytes, mut read, mut from) = (Vec::new(), 0, 0, from.clone());
        // Also without their entries, which the store reads all the same.
        let mut most = most_loaded(&app);
        loop {
            let count = most.min(limit - read);
            let page = self.store.scan(&app.name, &from, count).await?;
            read += count.max(page.sessions.len());
            let loaded = page.sessions.iter().map(|(_, snapshot)| snapshot.record.entries.bytes()).sum::<u32>();
            bytes += if with_entries == WithEntries::Yes { loaded } else { 0 };
            // While they are small, more of them are few bytes as well.
            most = if loaded < MAX_PAGE_BYTES / 4 { 2 * most } else { most_loaded(&app) };
            let live = page.sessions.into_iter().filter(|(_, snapshot)| is_live(snapshot, now));
            sessions.extend(live.map(|(id, Snapshot { record, .. })| info(id, record, None, with_entries)));
            match page.next {
                Some(next) if read < limit && bytes < MAX_PAGE_BYTES => {
                    from = next;
                    // The health checks of this thread have their turn between two pages of a store that does not wait.
                    yield_now().await;
                }
                next => return Ok(SessionPage { sessions, next }),
            }
        }
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

/// The cursor of the page after a session.
fn cursor_after(last: SessionId) -> Cursor {
    Cursor([&[AFTER], last.as_bytes().as_slice()].concat())
}

/// The session that a cursor is after; `None` for the begin, and for a cursor of another kind of listing.
fn last_of(cursor: &Cursor) -> Option<SessionId> {
    let last = cursor.0.strip_prefix(&[AFTER])?;
    Some(SessionId::from_bytes(last.try_into().ok()?))
}

/// How many sessions of an app are loaded at once, so that their entries are no more than a page.
fn most_loaded(app: &App) -> usize {
    usize::try_from(MAX_PAGE_BYTES / app.limits.max_bytes.max(1)).unwrap_or(MAX_LOADED).clamp(1, MAX_LOADED)
}

/// No store begins the cursor of an index with it and goes on with 16 bytes.
const AFTER: u8 = 0xff;

/// A page ends when its entries are this much. With those that were loaded last they may be twice as much, which is less than
/// clients of gRPC accept by default, and far less than a listener may have in memory for its callers.
const MAX_PAGE_BYTES: u32 = 2 << 20;

const MAX_LOADED: usize = 64;

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
