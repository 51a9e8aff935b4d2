//! The writer: one thread that does all writes, many of them in each commit.
//!
//! It takes the calls that wait as one batch, does them one after the other in one transaction, and answers them when
//! the commit is on disk. If that fails, all calls of the batch get an error, and the writer opens the file again
//! before the next batch: the operating system may have dropped pages that it could not write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::file::File;
use super::tables::{Tables, TablesError};
use crate::store::Error;

/// The writer's thread. Dropping this waits until the thread has done the queued calls and ended.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn QueuedCall>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(file: Arc<File>) -> io::Result<Self> {
        let (queue, calls) = mpsc::channel(QUEUE);
        let writer = WriterLoop { file, retry: None };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(calls))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs an operation inside a transaction, and returns when that is on disk.
    ///
    /// If this future is dropped while the queue is full, nothing is written. If it is dropped later, the operation is
    /// done unless its batch has not yet begun.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tables<'_>) -> Result<T, TablesError> + Send + 'static,
    ) -> Result<T, Error> {
        let stopped = || Error::unavailable("the store's writer has stopped");
        let (reply, answer) = oneshot::channel();
        let call = Box::new(WriteCall { operation: Some(operation), result: None, reply });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(call).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer has panicked");
        }
    }
}

/// A call in the queue: a [`WriteCall`], whatever the type of its result.
trait QueuedCall: Send {
    /// Runs the operation. An error ends the transaction.
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;

    /// Sends the result to the caller, or the error of the commit.
    fn answer(self: Box<Self>, commit: Result<(), Error>);
}

struct WriteCall<F, T> {
    operation: Option<F>,
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> QueuedCall for WriteCall<F, T>
where
    F: FnOnce(&mut Tables<'_>) -> Result<T, TablesError> + Send,
    T: Send,
{
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        // The operation is not run if the caller no longer waits for it.
        let Some(operation) = self.operation.take().filter(|_| !self.reply.is_closed()) else { return Ok(()) };
        self.result = match operation(tables) {
            Err(TablesError::Storage(error)) => return Err(error),
            result => Some(result.map_err(Error::from)),
        };
        Ok(())
    }

    fn answer(self: Box<Self>, commit: Result<(), Error>) {
        let Self { result, reply, .. } = *self;
        let answer =
            commit.and_then(|()| result.unwrap_or_else(|| Err(Error::unavailable("the caller no longer waits"))));
        // Fails if the caller no longer waits.
        let _ = reply.send(answer);
    }
}

type Batch = Vec<Box<dyn QueuedCall>>;

/// The state of the writer's thread.
struct WriterLoop {
    file: Arc<File>,
    /// While the file is closed: when to open it again, and how long to wait if that fails.
    retry: Option<(Instant, Duration)>,
}

impl WriterLoop {
    fn run(mut self, mut calls: mpsc::Receiver<Box<dyn QueuedCall>>) {
        let mut batch = Batch::with_capacity(MAX_BATCH);
        while calls.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            let result = catch_unwind(AssertUnwindSafe(|| self.write(&mut batch)));
            let result = result.unwrap_or_else(|_| self.recover_from_panic());
            for call in batch.drain(..) {
                call.answer(result.as_ref().copied().map_err(BatchError::to_error));
            }
        }
    }

    /// Opens the file again after a panic, so that the writer goes on.
    fn recover_from_panic(&mut self) -> Result<(), BatchError> {
        tracing::error!("the store's writer has panicked; its file is opened again");
        self.reopen();
        Err(BatchError::closed())
    }

    /// Writes a batch, if the file is open or can be opened.
    fn write(&mut self, batch: &mut Batch) -> Result<(), BatchError> {
        if let Some((retry_time, _)) = self.retry
            && (Instant::now() < retry_time || !self.reopen())
        {
            return Err(BatchError::closed());
        }
        let result = match &*self.file.database() {
            Some(database) => commit(database, batch),
            None => return Err(BatchError::closed()),
        };
        result.map_err(|error| self.recover(error))
    }

    /// Opens the file again after a failure, and finds out whether the batch was written.
    fn recover(&mut self, CommitError { error, number }: CommitError) -> BatchError {
        let is_full = is_full(&error);
        tracing::error!(error = &error as &dyn std::error::Error, "the store has failed to write");
        let is_open = self.reopen();
        // A commit that is not in the file by now will never be.
        let may_be_written = number.is_some_and(|number| !is_open || self.file.last_commit() == Some(number));
        let error = Arc::new(error);
        if is_full && !may_be_written { BatchError::Full(error) } else { BatchError::Unknown(error) }
    }

    /// Closes the file and opens it. Returns whether it is open.
    fn reopen(&mut self) -> bool {
        let wait = self.retry.map_or(FIRST_WAIT, |(_, wait)| wait);
        match self.file.reopen() {
            Ok(()) => {
                tracing::info!("the store's file is open again");
                self.retry = None;
                true
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store's file does not open again");
                self.retry = Some((Instant::now() + wait, (wait * 2).min(LAST_WAIT)));
                false
            }
        }
    }
}

/// Runs the calls of a batch in one transaction, and commits it.
fn commit(database: &Database, batch: &mut Batch) -> Result<(), CommitError> {
    let mut writing = database.begin_write().map_err(CommitError::before_commit)?;
    // With this, a file of 1 or 2 GiB that a killed process left opens in 1 ms; without it, redb reads the whole file,
    // which takes 1.3 or 3.3 s. A commit of one call costs 0.9 to 1.4 ms instead of 0.4 to 0.5, one of a hundred saves
    // 8 to 10 ms instead of 6 to 7.5. It includes the two-phase commit, which redb recommends for untrusted values.
    writing.set_quick_repair(true);
    let mut tables = Tables::open(&writing).map_err(CommitError::before_commit)?;
    for call in batch {
        call.run(&mut tables).map_err(CommitError::before_commit)?;
    }
    match tables.finish().map_err(CommitError::before_commit)? {
        None => writing.abort().map_err(CommitError::before_commit),
        Some(number) => writing.commit().map_err(|error| CommitError { error: error.into(), number: Some(number) }),
    }
}

/// Why a batch was not committed, as the database says.
struct CommitError {
    error: redb::Error,
    /// The number of the commit; `None` if the error came before it, so that nothing was written.
    number: Option<u64>,
}

impl CommitError {
    fn before_commit(error: impl Into<redb::Error>) -> Self {
        Self { error: error.into(), number: None }
    }
}

/// Why a batch failed, for all its callers.
enum BatchError {
    /// The disk is full. Nothing was written.
    Full(Arc<redb::Error>),
    /// Any other failure. The batch may have been written.
    Unknown(Arc<redb::Error>),
}

impl BatchError {
    fn closed() -> Self {
        Self::Unknown(Arc::new(redb::Error::DatabaseClosed))
    }

    fn to_error(&self) -> Error {
        match self {
            Self::Full(error) => Error::Full(Box::new(Arc::clone(error))),
            Self::Unknown(error) => Error::unavailable(Arc::clone(error)),
        }
    }
}

fn is_full(error: &redb::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};

    matches!(error, redb::Error::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
}

/// How many calls the queue holds. Further ones wait until there is room.
const QUEUE: usize = 4096;

/// The most calls in one commit.
const MAX_BATCH: usize = 1024;

/// How long to wait after the file could not be opened; doubled after each further failure, up to the last wait.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EmbeddedSettings;

    #[tokio::test]
    async fn a_panic_fails_only_its_own_batch() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let settings = EmbeddedSettings { path: folder.path().to_owned(), ..EmbeddedSettings::default() };
        let file = Arc::new(File::open(&settings).expect("an empty folder opens"));
        let writer = Writer::start(file).expect("a thread starts");

        let panicked = writer.write(|_| -> Result<(), TablesError> { panic!("a test") }).await;
        let next = writer.write(|_| Ok(())).await;

        assert!(matches!(panicked, Err(Error::Unavailable(_))));
        assert!(next.is_ok());
    }
}
