//! Checkpoints: a thread that writes what the log has into the data file, many batches at once.
//!
//! The changes since the last checkpoint are in memory as well, where reads find them. A checkpoint takes them as they
//! are, **frozen**, while newer ones come in. Afterwards the log's file with these changes may be begun again.
//!
//! A checkpoint that fails is repeated, with a pause. Nothing is lost by it: the log has it all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};
use redb::{Database, ReadableDatabase as _};

use super::file::{DataFile, FileOpenError, Follows, write_commit};
use super::rows::{RowChanges, RowsError, StoredTables, View};
use crate::store::Error;
use crate::telemetry::LogThrottle;

/// The rows and the state of the checkpoints, which the threads of the store share.
pub(super) struct Shared {
    pub(super) data_file: DataFile,
    rows: RwLock<SharedRows>,
    /// Locked while the data file is opened again.
    reopening: Mutex<()>,
    status: Mutex<CheckpointStatus>,
    /// Notified at each change of the status.
    changed: Condvar,
}

/// All rows of the store: those of the data file, and the changes that it does not have yet.
pub(super) struct SharedRows {
    /// `None` while the data file is closed after a failure.
    stored: Option<StoredTables>,
    frozen: Option<Arc<Frozen>>,
    /// The changes since the last switch of the log.
    active: RowChanges,
}

/// Changes that a checkpoint writes.
struct Frozen {
    changes: RowChanges,
    /// The number of their last frame in the log.
    last: u64,
}

#[derive(Default)]
struct CheckpointStatus {
    /// Whether there are frozen changes.
    is_pending: bool,
    /// Why the last attempt at a checkpoint failed.
    failure: Option<CheckpointFailure>,
    /// Whether a checkpoint that failed is to be repeated now.
    retry_now: bool,
    /// Whether the data file is to be opened again, because it could not be read.
    reopen: bool,
    is_stopping: bool,
}

/// Why checkpoints fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckpointFailure {
    Full,
    Other,
}

impl Shared {
    pub(super) fn new(data_file: DataFile, older: Option<(RowChanges, u64)>, active: RowChanges) -> Self {
        let frozen = older.map(|(changes, last)| Arc::new(Frozen { changes, last }));
        let status = CheckpointStatus { is_pending: frozen.is_some(), ..CheckpointStatus::default() };
        Self {
            data_file,
            rows: RwLock::new(SharedRows { stored: None, frozen, active }),
            reopening: Mutex::new(()),
            status: Mutex::new(status),
            changed: Condvar::new(),
        }
    }

    /// Reads rows, with every write that was answered before.
    pub(super) fn read<T>(&self, read: impl FnOnce(&View<'_>) -> Result<T, RowsError>) -> Result<T, Error> {
        let rows = self.rows().map_err(Error::unavailable)?;
        let view = rows.view(None).ok_or_else(|| Error::unavailable(CLOSED))?;
        // The database panics at some kinds of damage.
        let result = catch_unwind(AssertUnwindSafe(|| read(&view)));
        let has_failed = rows.has_failed();
        drop(rows);
        if has_failed {
            self.request_reopen();
        }
        match result {
            Ok(result) => result.map_err(Error::from),
            Err(_) => {
                log_damage(&self.data_file);
                Err(Error::Corrupt)
            }
        }
    }

    /// Locks the rows for reading. Fails if that takes long, because a data file that failed does not close, or because
    /// the disk does not answer.
    ///
    /// The lock must not be held across an await.
    pub(super) fn rows(&self) -> Result<RwLockReadGuard<'_, SharedRows>, &'static str> {
        // More than once: a machine that stood still for a second has also stopped who has the lock.
        self.rows_within(MAX_WAITS)
    }

    fn rows_within(&self, waits: usize) -> Result<RwLockReadGuard<'_, SharedRows>, &'static str> {
        for _ in 0..waits {
            if let Some(rows) = self.rows.try_read_for(WAIT) {
                return Ok(rows);
            }
            if self.reopening.is_locked() {
                return Err(CLOSED);
            }
        }
        Err(BUSY)
    }

    /// Adds changes that the log has.
    pub(super) fn publish(&self, changes: RowChanges) {
        self.rows.write().active.extend(changes);
    }

    /// Freezes the changes of the frames up to `last`, for a checkpoint. Returns whether that could be done: no other
    /// checkpoint may be under way.
    pub(super) fn freeze(&self, last: u64) -> bool {
        let mut status = self.status.lock();
        self.freeze_at(&mut status, last)
    }

    /// Makes the thread write everything, if the disk allows it, and end.
    pub(super) fn stop(&self, last: u64) {
        let mut status = self.status.lock();
        status.is_stopping = true;
        self.freeze_at(&mut status, last);
        self.changed.notify_all();
    }

    fn open_tables(&self, database: Database) -> Result<(Database, StoredTables), FileOpenError> {
        let stored = database.begin_read().map_err(redb::Error::from).and_then(|reading| StoredTables::open(&reading));
        Ok((database, stored.map_err(|error| FileOpenError::of_database(&self.data_file.path, error))?))
    }

    fn freeze_at(&self, status: &mut CheckpointStatus, last: u64) -> bool {
        if status.is_pending {
            return false;
        }
        let mut rows = self.rows.write();
        let changes = std::mem::take(&mut rows.active);
        rows.frozen = Some(Arc::new(Frozen { changes, last }));
        status.is_pending = true;
        self.changed.notify_all();
        true
    }

    /// Waits until no checkpoint is under way, or one has failed.
    pub(super) fn await_checkpoint(&self, timeout: Duration) -> Result<(), CheckpointFailure> {
        let mut status = self.status.lock();
        let deadline = Instant::now() + timeout;
        while status.is_pending && status.failure.is_none() {
            if self.changed.wait_until(&mut status, deadline).timed_out() {
                return Err(CheckpointFailure::Other);
            }
        }
        match status.failure {
            Some(failure) if status.is_pending => Err(failure),
            _ => Ok(()),
        }
    }

    /// Makes the data file be opened again, after it could not be read.
    pub(super) fn request_reopen(&self) {
        self.status.lock().reopen = true;
        self.changed.notify_all();
    }

    /// Makes a checkpoint that failed be repeated at once.
    pub(super) fn retry_checkpoint(&self) {
        self.status.lock().retry_now = true;
        self.changed.notify_all();
    }
}

impl SharedRows {
    /// Makes a view of all rows, with the changes of a batch on top. `None` while the data file is closed.
    pub(super) fn view<'v>(&'v self, batch: Option<&'v RowChanges>) -> Option<View<'v>> {
        let frozen = self.frozen.as_deref().map(|frozen| &frozen.changes);
        Some(View { changes: [None, batch, Some(&self.active), frozen], stored: self.stored.as_ref()? })
    }

    /// Whether nothing can be read from the data file until it is opened again.
    pub(super) fn has_failed(&self) -> bool {
        self.stored.as_ref().is_none_or(StoredTables::has_failed)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("data_file", &self.data_file).finish_non_exhaustive()
    }
}

/// The thread that makes checkpoints.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    /// `None` while the data file cannot be written to.
    database: Option<Database>,
    /// The database that reads use meanwhile.
    unwritten: Option<Database>,
    /// How many attempts have failed one after the other.
    failures: u32,
    /// When the data file may be opened again after a read that failed.
    reopen_time: Instant,
    throttle: LogThrottle,
}

/// The next task of the thread.
enum CheckpointTask {
    Checkpoint(Follows),
    Reopen,
}

impl Checkpointer {
    /// Makes one that has no database yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (reopen_time, throttle) = (Instant::now(), LogThrottle::new());
        Self { shared, database: None, unwritten: None, failures: 0, reopen_time, throttle }
    }

    /// Uses a database that was opened.
    pub(super) fn use_database(&mut self, database: Database) -> Result<(), FileOpenError> {
        let (database, stored) = self.shared.open_tables(database)?;
        (self.database, self.shared.rows.write().stored) = (Some(database), Some(stored));
        Ok(())
    }

    /// Opens the data file again, after a write to it has failed. Fails if it cannot be read either.
    pub(super) fn open_after_failure(&mut self) -> Result<(), FileOpenError> {
        match self.reopen() {
            Err(error) if self.unwritten.is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        while let Some(task) = self.await_task() {
            match task {
                CheckpointTask::Checkpoint(follows) => self.make_checkpoint(follows),
                CheckpointTask::Reopen => self.reopen_after_read(),
            }
        }
        // No read may use the file while the database closes it.
        self.shared.rows.write().stored = None;
    }

    fn make_checkpoint(&mut self, follows: Follows) {
        let frozen = self.shared.rows.read().frozen.clone();
        let Some(frozen) = frozen else { return };
        let result = catch_unwind(AssertUnwindSafe(|| self.write(&frozen, follows)));
        let result = result.unwrap_or_else(|_| {
            log_damage(&self.shared.data_file);
            Err(redb::Error::Corrupted("the database has panicked".to_owned()))
        });
        self.finish(result);
    }

    /// Opens the data file again, for the database reads nothing more once a read has failed.
    fn reopen_after_read(&mut self) {
        // Another read may have asked for it before the last time.
        if self.shared.rows.read().has_failed() {
            if let Some(count) = self.throttle.count() {
                let path = self.shared.data_file.path.display();
                tracing::error!(%path, count, "the store could not read its data file; it is opened again");
            }
            // It may panic at damage.
            let _ = catch_unwind(AssertUnwindSafe(|| self.reopen()));
        }
        self.reopen_time = Instant::now() + REOPEN_INTERVAL;
        if self.shared.rows.read().has_failed() {
            self.reopen_time = Instant::now() + RETRY_INTERVAL;
            self.shared.request_reopen();
        }
    }

    /// Waits for frozen changes, for the time to try them again, or for a read that failed. `None`: the thread is to end.
    fn await_task(&self) -> Option<CheckpointTask> {
        let mut status = self.shared.status.lock();
        let retry_time = Instant::now() + RETRY_INTERVAL;
        loop {
            let is_due = status.failure.is_none() || status.retry_now || Instant::now() >= retry_time;
            if status.is_stopping && (!status.is_pending || status.failure.is_some()) {
                return None;
            }
            if status.is_pending && is_due {
                status.retry_now = false;
                let follows = if status.is_stopping { Follows::Nothing } else { Follows::Frames };
                return Some(CheckpointTask::Checkpoint(follows));
            }
            if status.reopen && Instant::now() >= self.reopen_time {
                status.reopen = false;
                return Some(CheckpointTask::Reopen);
            }
            if status.reopen {
                self.shared.changed.wait_until(&mut status, retry_time.min(self.reopen_time));
            } else if status.failure.is_some() {
                self.shared.changed.wait_until(&mut status, retry_time);
            } else {
                self.shared.changed.wait(&mut status);
            }
        }
    }

    fn write(&mut self, frozen: &Frozen, follows: Follows) -> Result<(), redb::Error> {
        if self.database.is_none() {
            self.reopen().map_err(|error| redb::Error::Io(io::Error::other(error)))?;
        }
        let Some(database) = &self.database else { return Err(redb::Error::DatabaseClosed) };
        write_checkpoint(database, &frozen.changes, frozen.last, follows)?;
        let stored = StoredTables::open(&database.begin_read()?)?;
        let mut rows = self.shared.rows.write();
        rows.stored = Some(stored);
        rows.frozen = None;
        Ok(())
    }

    /// Records the outcome of a checkpoint. After a failure, opens the data file again so that reads go on.
    fn finish(&mut self, result: Result<(), redb::Error>) {
        let failure = result
            .as_ref()
            .err()
            .map(|error| if is_full(error) { CheckpointFailure::Full } else { CheckpointFailure::Other });
        if let Err(error) = &result {
            if self.failures.is_multiple_of(LOG_EVERY) {
                let error = error as &dyn std::error::Error;
                tracing::error!(error, "the store could not write its log into the data file; it tries again");
            }
            self.failures += 1;
            if self.database.is_some() {
                // It may panic at the same damage again.
                let _ = catch_unwind(AssertUnwindSafe(|| self.reopen()));
            }
        } else if self.failures > 0 {
            tracing::info!("the store has written its log into the data file");
            self.failures = 0;
        }
        let mut status = self.shared.status.lock();
        status.failure = failure;
        status.is_pending = failure.is_some();
        self.shared.changed.notify_all();
    }

    /// Closes the data file and opens it, so that the database repairs it. Reads wait meanwhile.
    ///
    /// If it cannot be written to, it is opened for reading.
    fn reopen(&mut self) -> Result<(), FileOpenError> {
        let shared = Arc::clone(&self.shared);
        let mut rows = shared.rows.write();
        let _reopening = shared.reopening.lock();
        rows.stored = None;
        // Each of them locks the file.
        (self.database, self.unwritten) = (None, None);
        let opened = shared.data_file.open_database().and_then(|(database, _)| shared.open_tables(database));
        match opened {
            Ok((database, stored)) => {
                (self.database, rows.stored) = (Some(database), Some(stored));
                Ok(())
            }
            Err(error) => {
                let opened = shared.data_file.open_unwritten().and_then(|database| shared.open_tables(database));
                if let Ok((database, stored)) = opened {
                    (self.unwritten, rows.stored) = (Some(database), Some(stored));
                }
                Err(error)
            }
        }
    }
}

/// Writes changes into the data file; they are on disk when this returns.
pub(super) fn write_checkpoint(
    database: &Database,
    changes: &RowChanges,
    last: u64,
    follows: Follows,
) -> Result<(), redb::Error> {
    let mut writing = database.begin_write()?;
    // With this, a file that a killed process left opens at once; without it, the database reads the whole file. It
    // includes the two-phase commit, which redb recommends for untrusted values.
    writing.set_quick_repair(true);
    changes.write(&writing)?;
    write_commit(&writing, last, follows)?;
    Ok(writing.commit()?)
}

pub(super) fn is_full(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(error) if is_full_io(error))
}

pub(super) fn is_full_io(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};

    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn log_damage(data_file: &DataFile) {
    static THROTTLE: LogThrottle = LogThrottle::new();
    if THROTTLE.count().is_some() {
        let path = data_file.path.display();
        let remedy = "restore it from a backup, or move all files of its folder away to start without sessions";
        tracing::error!(%path, "the data file is damaged; {remedy}");
    }
}

/// How long after a failed checkpoint the next one begins.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long after a data file was opened again it may be so once more: all reads wait for it.
const REOPEN_INTERVAL: Duration = Duration::from_millis(200);

/// How many failed checkpoints make one line in the log.
const LOG_EVERY: u32 = 60;

/// How long a read waits for a data file that is being opened again.
const WAIT: Duration = Duration::from_secs(1);

/// How often a read waits for so long while the data file is open.
const MAX_WAITS: usize = 3;

pub(super) const CLOSED: &str = "the store's data file is closed after a failure";

const BUSY: &str = "the store's data file has not answered for 3 seconds";

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::Settings;
    use super::*;

    fn shared() -> Shared {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { path: folder.path().to_owned(), ..Settings::default() };
        let (data_file, ..) = DataFile::open(&settings).unwrap();
        Shared::new(data_file, None, RowChanges::default())
    }

    #[test]
    fn a_read_goes_on_waiting_while_the_data_file_is_open() {
        let shared = shared();
        let (answer, answers) = mpsc::channel();
        let locked = shared.rows.write();
        thread::scope(|scope| {
            scope.spawn(|| answer.send(shared.rows_within(usize::MAX).map(drop)));

            let early = answers.recv_timeout(WAIT + WAIT / 2);
            drop(locked);

            assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
            assert_eq!(answers.recv(), Ok(Ok(())));
        });
    }

    #[test]
    fn a_read_fails_if_the_data_file_is_long_being_opened_again() {
        let shared = shared();
        let (_locked, _reopening) = (shared.rows.write(), shared.reopening.lock());
        assert_eq!(thread::scope(|scope| scope.spawn(|| shared.rows().map(drop)).join().unwrap()), Err(CLOSED));
    }
}
