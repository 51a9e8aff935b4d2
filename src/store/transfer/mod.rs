//! Exports: the sessions of a store in a file, from which any store can import them.
//!
//! Here are the file, what a store has to do, and the rules. [`Export`](super::Export) reads a store page by page and makes
//! the blocks of the file. A [`Reader`] checks them, and [`Import`](super::Import) writes what they have.
//! docs/export-format.md describes the file.
//!
//! A file has no generations: a session that a revocation of its app ended is in it as a tombstone. So it means the same
//! in every store. Nothing here decodes a value.

mod decide;
mod exported;
mod imported;
mod item;
mod reader;

pub use decide::Decision;
pub(super) use decide::decide;
pub(super) use exported::{exported_record, imported_revocations};
pub use imported::ImportApp;
pub(super) use imported::{imported_record, index_entry};
pub(super) use item::{Counts, ExportedApp, Item};
pub use reader::{FileError, Reader};
pub(super) use reader::{block, first_line};

use super::damage::log_damage;
use super::{AppRevocation, Cursor, Error, IndexEntry, Page, Revocation, SessionKey, Snapshot, SubjectRef};
use crate::session::Record;
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// The operations that exports need of a store, beside those on sessions.
pub trait ExportSource {
    /// Loads how often all sessions of an app were revoked, and when for the last time.
    fn load_app_revocation(&self, app: &AppName) -> impl Future<Output = Result<AppRevocationState, Error>> + Send;

    /// Reads one page of an app's sessions as [`Store::scan`](super::Store::scan) does, but does not fail at one that is
    /// corrupt.
    fn export_page(
        &self,
        app: &AppName,
        from: &Cursor,
        limit: usize,
    ) -> impl Future<Output = Result<ExportPage, Error>> + Send;

    /// Lists one page of the revocations of subjects.
    fn list_revocations(&self, from: &Cursor) -> impl Future<Output = Result<RevocationPage, Error>> + Send;
}

/// The operations that imports need of a store, beside those on sessions.
///
/// The memory store does not have them: what is in it is gone with its process.
pub trait ImportTarget {
    /// Stores when another store revoked all sessions of an app, and ends none.
    ///
    /// From then on no session with a legacy credential from before is imported. Does nothing if a later time is
    /// stored, or if there was a revocation of an unknown time.
    fn restore_app_revocation(&self, app: &AppName, time: Time) -> impl Future<Output = Result<(), Error>> + Send;

    /// Stores a revocation of a subject, unless a later one is stored.
    ///
    /// If its app is unknown, it is stored for each of these: only that of the subject is ever looked up.
    fn restore_revocation(
        &self,
        revocation: &SubjectRevocation,
        apps: &[AppName],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Decides about a session of an export by the rule of imports, and writes it in the same step if the mode says so.
    ///
    /// The session gets the app's generation. Its entry is in the index before it is written, or in the same step, so that
    /// a live session is never missing there.
    fn restore(
        &self,
        imported: &ImportedSession,
        mode: ImportMode,
    ) -> impl Future<Output = Result<Decision, Error>> + Send;
}

/// Whether an import writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    Write,
    /// It only counts what it would write.
    DryRun,
}

/// A session of an export, as it is to be written.
#[derive(Clone, Debug)]
pub struct ImportedSession {
    pub(super) session_key: SessionKey,
    pub(super) record: Record,
    /// When the export of the app began.
    pub(super) export_time: Time,
    /// Its entry in the index, if it lives and has a subject.
    pub(super) index_entry: Option<(SubjectRef, IndexEntry)>,
}

/// One page of the sessions of an app.
#[derive(Clone, Debug)]
pub struct ExportPage {
    /// `None`: the bytes in the store are not a session.
    pub(super) sessions: Vec<(SessionId, Option<Snapshot>)>,
    /// `None` at the end.
    pub(super) next: Option<Cursor>,
}

impl ExportPage {
    /// Makes the page of a scan of this app. Leaves out sessions that are corrupt, and names them in the log: nobody can
    /// open them, and they must not hide all others.
    pub(super) fn into_page(self, app: &AppName) -> Page {
        let whole = |(id, snapshot): (SessionId, Option<Snapshot>)| {
            if snapshot.is_none() {
                log_damage(&SessionKey { app: app.clone(), id });
            }
            Some((id, snapshot?))
        };
        Page { sessions: self.sessions.into_iter().filter_map(whole).collect(), next: self.next }
    }
}

/// How often all sessions of an app were revoked, as far as an export has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppRevocationState {
    /// Grows with each revocation, also with one that has raised only some of the app's partitions.
    pub(super) count: u64,
    /// When for the last time; `None` if that is unknown, or if it never happened.
    pub(super) time: Option<Time>,
}

impl From<AppRevocation> for AppRevocationState {
    fn from(AppRevocation { generation, time }: AppRevocation) -> Self {
        Self { count: generation.0.into(), time }
    }
}

/// A revocation of a subject, by what the stores know of the subject: its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRevocation {
    /// `None`: the store that it comes from does not know.
    pub(super) app: Option<AppName>,
    pub(super) subject_hash: [u8; 16],
    pub(super) revocation: Revocation,
}

/// One page of the revocations of subjects.
#[derive(Clone, Debug, Default)]
pub struct RevocationPage {
    /// May be empty without being the last.
    pub(super) revocations: Vec<SubjectRevocation>,
    /// Those whose bytes in the store are not a revocation: the app, if it is known, and the hash of app and subject.
    pub(super) corrupt: Vec<(Option<AppName>, [u8; 16])>,
    /// `None` at the end.
    pub(super) next: Option<Cursor>,
}
