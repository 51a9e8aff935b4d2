//! The index: the sessions of each subject.
//!
//! A subject's live sessions are always in the index, because the service adds a session before it gives it the subject
//! and removes it after the end. So the index may also name sessions that have ended, or that have another subject by
//! now: the caller loads each one to find out. Entries expire with the latest deadline that their session can have.
//!
//! A store need not change the index and a session in one step.

use super::{Cursor, Error};
use crate::session::{Subject, TOMBSTONE_TTL};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// The index of a store.
pub trait Index {
    /// Adds a session to a subject's index, or replaces its entry.
    ///
    /// If the subject has more than [`INDEX_CLEANUP_MIN`] entries then, returns up to [`INDEX_SAMPLE`] other ones,
    /// chosen at random. The caller removes those whose sessions have ended. So few entries of ended sessions remain,
    /// at a cost that does not grow with the index.
    fn add_to_index(
        &self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> impl Future<Output = Result<Vec<IndexEntry>, Error>> + Send;

    /// Removes exactly this entry: one that has been added for the same session since then stays.
    fn remove_from_index(
        &self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Removes a session that has ended for good, whatever its entry is.
    fn remove_session_from_index(
        &self,
        subject_ref: &SubjectRef,
        id: SessionId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Lists entries of a subject, in no particular order: all of them if there are few, else about
    /// [`INDEX_PAGE_ENTRIES`] after `from`.
    ///
    /// An entry that is there while all pages are read is on one of them, and may be on several.
    fn list_index(
        &self,
        subject_ref: &SubjectRef,
        from: &Cursor,
    ) -> impl Future<Output = Result<IndexPage, Error>> + Send;

    /// Whether a subject has more entries than `count`. A store may count one too many.
    fn has_more_entries(
        &self,
        subject_ref: &SubjectRef,
        count: usize,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Stores that all sessions of a subject were revoked, in place of an earlier revocation.
    fn record_revocation(
        &self,
        subject_ref: &SubjectRef,
        revocation: &Revocation,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Loads the last revocation of a subject; `None` if there was none or [`Revocation::until`] has passed.
    ///
    /// It may be returned for a while after that, until the store deletes it.
    fn load_revocation(
        &self,
        subject_ref: &SubjectRef,
    ) -> impl Future<Output = Result<Option<Revocation>, Error>> + Send;
}

/// A revocation of all sessions of a subject, for sessions that are imported later.
///
/// `RevokeSubject` first stores the revocation, and then lists the index. An import first adds its session to the
/// index, then creates it, and then loads the revocation. So at least one of the two notices the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub time: Time,
    /// The time from which on no session is imported that the revocation would end.
    pub until: Time,
    /// The one session that was not revoked.
    pub except: Option<SessionId>,
}

/// Identifies a subject of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectRef {
    pub app: AppName,
    pub subject: Subject,
}

/// A session in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    pub id: SessionId,
    /// When the entry was added.
    pub add_time: Time,
    /// When the entry expires: not before the session can.
    pub until: Time,
}

impl IndexEntry {
    /// Whether the entry is that of a session that is purged now. A younger one may be that of a login with the same id,
    /// which adds it before it stores the session. If the login was refused, it expires.
    pub(super) fn is_of_purged(&self, now: Time) -> bool {
        self.add_time + TOMBSTONE_TTL <= now
    }
}

/// A part of a subject's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexPage {
    /// They may be none, even if more pages follow.
    pub entries: Vec<IndexEntry>,
    /// Where the next page begins. `None`: this is the last one.
    pub next: Option<Cursor>,
}

impl IndexPage {
    /// Takes a page from all entries that begin at [`Self::first_id`], sorted by their ids.
    pub(super) fn of_sorted<E>(entries: impl IntoIterator<Item = Result<IndexEntry, E>>) -> Result<Self, E> {
        let mut rest = entries.into_iter();
        let entries = rest.by_ref().take(INDEX_PAGE_ENTRIES).collect::<Result<_, _>>()?;
        let next = rest.next().transpose()?.map(|entry| Cursor(entry.id.as_bytes().to_vec()));
        Ok(Self { entries, next })
    }

    /// The id at which a page of sorted entries begins. `None`: at the first one.
    pub(super) fn first_id(from: &Cursor) -> Option<SessionId> {
        from.0.as_slice().try_into().ok().map(SessionId::from_bytes)
    }
}

/// The number of entries on a page. A subject with as many sessions as the default of `max_sessions_per_subject` has
/// one page, even if as many of its sessions have ended.
pub const INDEX_PAGE_ENTRIES: usize = 2048;

/// The number of entries up to which none are offered for cleanup: to list them costs little.
pub const INDEX_CLEANUP_MIN: usize = 16;

/// How many entries are offered for each one that is added. In the long run a quarter of all are of ended sessions.
pub const INDEX_SAMPLE: usize = 4;
