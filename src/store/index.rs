//! The index: which sessions a subject has.
//!
//! It may name the dead, and sessions that have become another's, but never misses the living: whoever gives a
//! session a subject enters it first. What it names has to be looked at. Entries end by themselves with the
//! latest deadline that their session can have.

use std::future::Future;

use super::Error;
use crate::session::Subject;
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// The index of a store.
pub trait Index {
    /// Enters a session; one that is there already gets these times.
    ///
    /// Answers [`INDEX_SAMPLE`] others at most, by chance, of a subject that has more than [`INDEX_CLEANUP_MIN`]: whoever looks at them, and
    /// takes out the dead, keeps those few beside the living, for a price that does not grow.
    fn add_to_index(
        &self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> impl Future<Output = Result<Vec<IndexEntry>, Error>> + Send;

    /// Takes out this very entry; another one of the same session, entered since, stays.
    fn remove_from_index(
        &self,
        subject_ref: &SubjectRef,
        entry: &IndexEntry,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes out a session that has ended for good, whatever its entry is.
    fn remove_session_from_index(
        &self,
        subject_ref: &SubjectRef,
        id: SessionId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Every entry of a subject, in one snapshot.
    fn list_index(&self, subject_ref: &SubjectRef) -> impl Future<Output = Result<Vec<IndexEntry>, Error>> + Send;

    /// Remembers that a subject's sessions were revoked, in the place of an earlier time.
    fn record_revocation(
        &self,
        subject_ref: &SubjectRef,
        revocation: &Revocation,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// When a subject's sessions were last revoked, as far as that is remembered.
    fn load_revocation(
        &self,
        subject_ref: &SubjectRef,
    ) -> impl Future<Output = Result<Option<Revocation>, Error>> + Send;
}

/// That all sessions of a subject were revoked, for those that are imported later.
///
/// Whoever revokes writes this first and lists then; an import enters its session, creates it and looks here then. So
/// whatever comes between them, one of the two meets the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub time: Time,
    /// Until when it matters: nothing is imported later.
    pub until: Time,
    /// The one session that was spared.
    pub except: Option<SessionId>,
}

/// Whose sessions: one subject in one app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectRef {
    /// The app.
    pub app: AppName,
    /// The subject.
    pub subject: Subject,
}

/// A session in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// The session.
    pub id: SessionId,
    /// When it was entered.
    pub entered: Time,
    /// When the entry ends: not before the session can.
    pub until: Time,
}

/// So many entries cost nothing worth a look.
pub const INDEX_CLEANUP_MIN: usize = 16;

/// How many entries are looked at for one that is entered: so the dead among them are a quarter in the long run.
pub const INDEX_SAMPLE: usize = 4;
