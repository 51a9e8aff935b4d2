//! The embedded store: sessions in one data file on a local disk, and a log for the writes that it does not have yet.
//!
//! A write that was answered is on disk, in the log. One thread writes, many calls at once. Another one brings the
//! writes of the log into the data file from time to time, a **checkpoint**: the data file is a tree of pages, and to
//! change a page for one session costs several times what the session has, so it is done for many at once. What is in
//! the log alone is in memory too, and reads look there first. One process at a time can open the files.

mod checkpoint;
mod feed;
mod file;
mod index;
mod log;
mod replace;
mod rows;
mod sample;
mod tables;
mod transfer;
mod unwritten;
mod writer;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use file::{FileOpenError, create_folder, is_open_to_all};

use self::checkpoint::{Checkpointer, Shared};
use self::file::{DataFile, mark_logged};
use self::log::{Log, WritePurpose};
use self::tables::Swept;
use self::writer::Writer;
use super::{
    Applied, Created, Cursor, Error, Feed, FeedRead, Index, IndexEntry, IndexPage, Page, Position, Revocation, Sample,
    SampledKeys, SessionKey, Snapshot, Store, SubjectRef, Touch, Write,
};
use crate::session::{Precondition, Record};
use crate::token::SessionId;
use crate::types::{AppName, SettingError, Time, check_duration, duration};

/// Sessions in one file.
#[derive(Debug)]
pub struct Embedded {
    writer: Writer,
    shared: Arc<Shared>,
}

/// The `[store.embedded]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder of the data file and its log; created if it is missing. On a local disk, not on a network file system.
    pub path: PathBuf,
    /// How many bytes of the data file are cached in memory, at most. Raise it if reads wait for the disk.
    pub cache_bytes: usize,
    /// How long a start waits while another process has the files open. 0 s to 1 hour. Raise it where a new process starts
    /// before the old one has stopped, as pods of Kubernetes do.
    #[serde(with = "duration")]
    pub lock_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { path: "data".into(), cache_bytes: 128 * 1024 * 1024, lock_timeout: Duration::ZERO }
    }
}

impl Settings {
    /// Checks all values.
    pub fn check(&self) -> Result<(), SettingError> {
        if self.path.as_os_str().is_empty() {
            return Err(SettingError::new("path", "it names no folder; set one, such as \"data\""));
        }
        check_duration("lock_timeout", self.lock_timeout, Duration::ZERO..=MAX_LOCK_TIMEOUT).map(|_| ())
    }

    /// Returns the path of the data file.
    pub fn data_file(&self) -> PathBuf {
        file::path_in(&self.path)
    }

    /// Checks the data file without opening it, and returns its length. `None`: there is none yet.
    pub fn check_data_file(&self) -> Result<Option<u64>, FileOpenError> {
        file::check_unopened(&self.path)
    }
}

const MAX_LOCK_TIMEOUT: Duration = Duration::from_hours(1);

impl Embedded {
    /// Opens the files, or creates empty ones, and starts the threads.
    pub fn open(settings: &Settings) -> Result<Self, FileOpenError> {
        let (data_file, database, format) = DataFile::open(settings)?;
        let (mut log, replayed) = Log::open(&settings.path, format.log_facts(), format.bytes)?;
        let shared = Arc::new(Shared::new(data_file, replayed.older, replayed.newer));
        let mut checkpointer = Checkpointer::new(Arc::clone(&shared));
        if let Err(error) = mark_logged(&database, &format, log.least_bytes()) {
            // A full disk must not keep sessions from being read and ended.
            tracing::warn!(error = &error as &dyn std::error::Error, "the store could not write into its data file");
            // It reads nothing more after a write that failed.
            drop(database);
            checkpointer.open_after_failure()?;
            // This checkpoint makes the mark, and is repeated until it succeeds.
            if shared.freeze(log.number()) {
                log.switch();
            }
        } else {
            checkpointer.use_database(database)?;
        }
        let writer = Writer::start(Arc::clone(&shared), log, checkpointer).map_err(FileOpenError::Thread)?;
        Ok(Self { writer, shared })
    }

    /// Gives the room in the data file that nothing uses back to the disk. Returns its length before and after.
    ///
    /// Fails if there is no file, or a process has it open.
    pub fn compact(settings: &Settings) -> Result<(u64, u64), FileOpenError> {
        let path = settings.data_file();
        let length = || fs::metadata(&path).map_err(|source| FileOpenError::File { path: path.clone(), source });
        let before = length()?.len();
        // Brings what the log has into the data file.
        drop(Self::open(settings)?);
        let (_, mut database, _) = DataFile::open(settings)?;
        while database.compact().map_err(|error| FileOpenError::Compact { path: path.clone(), source: error.into() })? {
        }
        drop(database);
        Ok((before, length()?.len()))
    }
}

impl Embedded {
    async fn sweep_records(&self, now: Time) -> Result<usize, Error> {
        loop {
            match self.writer.write(WritePurpose::Cleanup, move |tables| tables.sweep_records(now)).await? {
                // Every record that it checked has a later purge time by now. Others may still be due.
                Swept { deleted: 0, has_more: true } => {}
                swept => return Ok(swept.deleted),
            }
        }
    }

    async fn sweep_index(&self, now: Time) -> Result<(), Error> {
        while self.writer.write(WritePurpose::Cleanup, move |tables| tables.sweep_index(now)).await? {}
        Ok(())
    }
}

impl Store for Embedded {
    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        // Reads on the thread of the caller. Measured: 2 us if the cache is hot, 9 us in a file that is larger than the
        // cache, where a blocking thread costs 35 to 45 us. With 100 writers at work, 99 of 100 reads take less than 75
        // us.
        self.shared.read(|view| tables::load(view, session_key))
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        let (session_key, record) = (session_key.clone(), record.clone());
        let purpose = if record.head.end.is_some() { WritePurpose::Ending } else { WritePurpose::Ordinary };
        self.writer.write(purpose, move |tables| tables.create(&session_key, record)).await
    }

    async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        let (session_key, precondition, write) = (session_key.clone(), precondition.clone(), write.clone());
        let purpose = if matches!(write, Write::End(_)) { WritePurpose::Ending } else { WritePurpose::Ordinary };
        self.writer.write(purpose, move |tables| tables.apply(&session_key, &precondition, &write)).await
    }

    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        let (session_key, touch) = (session_key.clone(), touch.clone());
        self.writer.write(WritePurpose::Ordinary, move |tables| tables.touch(&session_key, &touch)).await
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        let app = app.clone();
        self.writer.write(WritePurpose::Ending, move |tables| tables.revoke_app(&app, now)).await
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        Ok(self.shared.read(|view| tables::scan(view, app, from, limit))?.into_page(app))
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        // Damage in the one table does not keep the other from being swept.
        let index = self.sweep_index(now).await;
        match self.sweep_records(now).await? {
            0 => index.map(|()| 0),
            deleted => Ok(deleted),
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.writer.probe().await
    }
}

impl Sample for Embedded {
    async fn sample_keys(&self, apps: &BTreeSet<AppName>, from: Position, limit: usize) -> Result<SampledKeys, Error> {
        self.shared.read(|view| sample::sample_keys(view, apps, from, limit))
    }

    async fn sample_heads(&self, session_keys: &[SessionKey]) -> Result<Vec<Option<Snapshot>>, Error> {
        self.shared.read(|view| sample::sample_heads(view, session_keys))
    }
}

impl Index for Embedded {
    async fn add_to_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        let (subject_ref, entry) = (subject_ref.clone(), *entry);
        self.writer.write(WritePurpose::Ordinary, move |tables| tables.add_to_index(&subject_ref, &entry)).await
    }

    async fn remove_from_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        let (subject_ref, entry) = (subject_ref.clone(), *entry);
        self.writer.write(WritePurpose::Ending, move |tables| tables.remove_from_index(&subject_ref, &entry)).await
    }

    async fn remove_session_from_index(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), Error> {
        let subject_ref = subject_ref.clone();
        self.writer.write(WritePurpose::Ending, move |tables| tables.remove_session_from_index(&subject_ref, id)).await
    }

    async fn list_index(&self, subject_ref: &SubjectRef, from: &Cursor) -> Result<IndexPage, Error> {
        self.shared.read(|view| index::list_index(view, subject_ref, from))
    }

    async fn has_more_entries(&self, subject_ref: &SubjectRef, count: usize) -> Result<bool, Error> {
        self.shared.read(|view| index::has_more_entries(view, subject_ref, count))
    }

    async fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        let (subject_ref, revocation) = (subject_ref.clone(), *revocation);
        self.writer.write(WritePurpose::Ending, move |tables| tables.record_revocation(&subject_ref, &revocation)).await
    }

    async fn load_revocation(&self, subject_ref: &SubjectRef) -> Result<Option<Revocation>, Error> {
        self.shared.read(|view| index::load_revocation(view, subject_ref))
    }
}

impl Feed for Embedded {
    async fn feed_end(&self, app: &AppName) -> Result<Cursor, Error> {
        self.shared.read(|view| feed::feed_end(view, app))
    }

    async fn read_feed(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        self.shared.read(|view| feed::read_feed(view, app, cursor))
    }
}
