//! Listing: the sessions of a subject or of an app, for operators and for the page of a user's devices.

use std::cmp::Reverse;

use super::index::{WithEntries, subject_ref};
use super::liveness::{Liveness, is_live, liveness};
use super::{Error, Service};
use crate::session::{EndReason, Entries, Record, Subject};
use crate::store::{Cursor, IndexPage, SessionKey, Snapshot};
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
        let PageStart { page, first } = PageStart::decode(from);
        let IndexPage { mut entries, next } = self.store.list_index(&subject_ref, &page).await?;
        entries.retain(|entry| first.is_none_or(|first| entry.id >= first));
        // By their ids, so that the next call finds where this one stops, whatever is added or removed meanwhile.
        entries.sort_unstable_by_key(|entry| entry.id);
        let most_loaded = match with_entries {
            WithEntries::No => entries.len(),
            WithEntries::Yes => MAX_LOADED,
        };
        let (mut sessions, mut bytes, mut rest) = (Vec::new(), 0, entries.as_slice());
        while !rest.is_empty() && bytes < MAX_PAGE_BYTES {
            let (chunk, others) = rest.split_at(rest.len().min(most_loaded));
            let loaded = self.resolve_entries(&subject_ref, chunk.to_vec(), with_entries, self.clock.now()).await?;
            bytes += loaded.iter().map(|session| session.record.entries.bytes()).sum::<u32>();
            sessions.extend(loaded);
            rest = others;
        }
        let next = match rest {
            [] => next.map(|page| PageStart { page, first: None }),
            [entry, ..] => Some(PageStart { page, first: Some(entry.id) }),
        };
        sessions.sort_unstable_by_key(|session| Reverse((session.record.head.access_time, session.id)));
        let sessions = sessions.into_iter().map(|session| info(session.id, session.record, None, with_entries));
        Ok(SessionPage { sessions: sessions.collect(), next: next.map(|next| next.encode()) })
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
        let most_loaded = match with_entries {
            WithEntries::No => limit,
            WithEntries::Yes => limit.min(MAX_LOADED),
        };
        let (mut sessions, mut bytes, mut read, mut from) = (Vec::new(), 0, 0, from.clone());
        loop {
            let page = self.store.scan(&app.name, &from, most_loaded).await?;
            let live = page.sessions.into_iter().filter(|(_, snapshot)| is_live(snapshot, now));
            for (id, Snapshot { record, .. }) in live {
                bytes += record.entries.bytes();
                sessions.push(info(id, record, None, with_entries));
            }
            read += most_loaded;
            match page.next {
                Some(next) if read < limit && bytes < MAX_PAGE_BYTES => from = next,
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

/// Where a page of a subject's sessions begins.
struct PageStart {
    /// The page of the index.
    page: Cursor,
    /// The first session of it; `None`: all of them.
    first: Option<SessionId>,
}

impl PageStart {
    fn encode(self) -> Cursor {
        match self.first {
            Some(first) => Cursor([&[WITH_FIRST], first.as_bytes().as_slice(), &self.page.0].concat()),
            None => self.page,
        }
    }

    fn decode(cursor: &Cursor) -> Self {
        if let Some((&WITH_FIRST, rest)) = cursor.0.split_first()
            && let Some((first, page)) = rest.split_first_chunk()
        {
            return Self { page: Cursor(page.to_vec()), first: Some(SessionId::from_bytes(*first)) };
        }
        Self { page: cursor.clone(), first: None }
    }
}

/// No store begins the cursor of an index with it, but for an id of 16 bytes that stands alone.
const WITH_FIRST: u8 = 0xff;

/// The entries of a page are this much, and those of the last [`MAX_LOADED`] sessions: far less than a listener may have in
/// memory for its callers.
const MAX_PAGE_BYTES: u32 = 2 << 20;

/// The sessions that are loaded at once with their entries. One may have 1 MiB.
const MAX_LOADED: usize = 8;

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
