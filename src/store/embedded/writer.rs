//! The writer: one thread, many calls to a commit.
//!
//! It takes what is waiting, does it in one transaction, call after call, and answers nobody before the
//! commit is on disk. After a failure nobody is told that something was written, and the file is opened
//! again before the next batch: the operating system may have dropped what it failed to write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::file::File;
use super::tables::{Tables, TablesError};
use crate::store::Error;

/// The writer's thread. Dropping this writes what is queued and waits for the thread to end.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(file: Arc<File>) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let turns = Turns { file, retry: None };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || turns.run(waiting))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Has work done inside a transaction; answers once that is on disk.
    ///
    /// A caller that is dropped while the queue is full has asked nothing.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, TablesError> + Send + 'static,
    ) -> Result<T, Error> {
        let stopped = || Error::unavailable("the store's writer has stopped");
        let (reply, answer) = oneshot::channel();
        let job = Box::new(WriteRequest { work: Some(work), done: None, reply });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(job).await.map_err(|_| stopped())?;
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

/// A call that waits for its turn.
trait Job: Send {
    /// Does the work. An error is the transaction's end.
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;

    /// Tells the caller what became of it.
    fn answer(self: Box<Self>, effect: Result<(), Error>);
}

struct WriteRequest<W, T> {
    work: Option<W>,
    done: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<W, T> Job for WriteRequest<W, T>
where
    W: FnOnce(&mut Tables<'_>) -> Result<T, TablesError> + Send,
    T: Send,
{
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        // Whoever has given up waiting need not have it done.
        let Some(work) = self.work.take().filter(|_| !self.reply.is_closed()) else { return Ok(()) };
        self.done = match work(tables) {
            Err(TablesError::Storage(error)) => return Err(error),
            done => Some(done.map_err(Error::from)),
        };
        Ok(())
    }

    fn answer(self: Box<Self>, effect: Result<(), Error>) {
        let Self { done, reply, .. } = *self;
        let answer = effect.and_then(|()| done.unwrap_or_else(|| Err(Error::unavailable("nobody waits"))));
        // Nobody may be listening any more.
        let _ = reply.send(answer);
    }
}

type Batch = Vec<Box<dyn Job>>;

/// The writer's turns, a batch each.
struct Turns {
    file: Arc<File>,
    /// While the file is closed: when to try again, and how long to wait after that.
    retry: Option<(Instant, Duration)>,
}

impl Turns {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Batch::with_capacity(MAX_BATCH);
        while waiting.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn(&mut batch)));
            let effect = turn.unwrap_or_else(|_| self.panicked());
            for job in batch.drain(..) {
                job.answer(effect.as_ref().map(|_| ()).map_err(Failed::error));
            }
        }
    }

    /// A batch that panicked has written nothing, or nobody knows: as any failure, and the writer lives on.
    fn panicked(&mut self) -> Result<(), Failed> {
        tracing::error!("the store's writer has panicked; its file is opened again");
        self.reopen();
        Err(Failed::closed())
    }

    fn turn(&mut self, batch: &mut Batch) -> Result<(), Failed> {
        if let Some((when, _)) = self.retry
            && (Instant::now() < when || !self.reopen())
        {
            return Err(Failed::closed());
        }
        let written = match &*self.file.database() {
            Some(database) => write(database, batch),
            None => return Err(Failed::closed()),
        };
        written.map_err(|failure| self.failed(failure))
    }

    /// Opens the file again after a failure, and finds out whether anything was written.
    fn failed(&mut self, failure: CommitError) -> Failed {
        let is_full = is_full(&failure.error);
        tracing::error!(error = &failure.error as &dyn std::error::Error, "the store has failed to write");
        let is_open = self.reopen();
        // A commit that is not in the file by now will never be.
        let is_written = failure.commit.is_some_and(|number| !is_open || self.file.last_commit() == Some(number));
        let error = Arc::new(failure.error);
        if is_full && !is_written { Failed::Full(error) } else { Failed::Unknown(error) }
    }

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

/// Does a batch in one transaction.
fn write(database: &Database, batch: &mut Batch) -> Result<(), CommitError> {
    let mut writing = database.begin_write().map_err(CommitError::before_commit)?;
    // A file of 1 and 2 GiB that a killed process left opens in 1 ms with this; without, all of it is read: 1.3
    // and 3.3 s. A lone commit costs 0.9 to 1.4 ms instead of 0.4 to 0.5, one of a hundred saves 8 to 10 ms instead
    // of 6 to 7.5. It brings the two-phase commit that values from strangers call for.
    writing.set_quick_repair(true);
    let mut tables = Tables::open(&writing).map_err(CommitError::before_commit)?;
    for job in batch {
        job.run(&mut tables).map_err(CommitError::before_commit)?;
    }
    match tables.finish().map_err(CommitError::before_commit)? {
        None => writing.abort().map_err(CommitError::before_commit),
        Some(number) => writing.commit().map_err(|error| CommitError { error: error.into(), commit: Some(number) }),
    }
}

/// What went wrong with a batch.
struct CommitError {
    error: redb::Error,
    /// The commit that was under way.
    commit: Option<u64>,
}

impl CommitError {
    fn before_commit(error: impl Into<redb::Error>) -> Self {
        Self { error: error.into(), commit: None }
    }
}

/// What every caller of a failed batch is told.
enum Failed {
    /// Nothing was written, for want of room.
    Full(Arc<redb::Error>),
    /// Who knows.
    Unknown(Arc<redb::Error>),
}

impl Failed {
    fn closed() -> Self {
        Self::Unknown(Arc::new(redb::Error::DatabaseClosed))
    }

    fn error(&self) -> Error {
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

/// How many calls may wait; the next ones wait to be let in.
const QUEUE: usize = 4096;

/// The most calls that share a commit.
const MAX_BATCH: usize = 1024;

/// How long the file is left alone after it did not open again; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EmbeddedSettings;

    #[tokio::test]
    async fn a_panic_costs_its_batch_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let settings = EmbeddedSettings { path: folder.path().to_owned(), ..EmbeddedSettings::default() };
        let file = Arc::new(File::open(&settings).expect("an empty folder opens"));
        let writer = Writer::start(file).expect("a thread starts");

        let panicked = writer.ask(|_| -> Result<(), TablesError> { panic!("a test") }).await;
        let next = writer.ask(|_| Ok(())).await;

        assert!(matches!(panicked, Err(Error::Unavailable(_))));
        assert!(next.is_ok());
    }
}
