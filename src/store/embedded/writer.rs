//! The writer: one thread that does all writes, many of them in each frame of the log.
//!
//! It takes the calls that wait as one batch, does them one after the other in memory, and answers them when their
//! changes are in the log, on disk. Each call is done as a whole or not at all.
//!
//! A disk that is full refuses ordinary writes, and nothing has been written of them. Ends go on in the log's reserve.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{CLOSED, Checkpointer, Shared, is_full_io};
use super::file::FileOpenError;
use super::log::{Log, MAX_SEGMENT, SEGMENT, WritePurpose};
use super::rows::{RowChanges, RowsError};
use super::tables::Tables;
use crate::store::Error;
use crate::telemetry::LogThrottle;

/// The writer's thread. Dropping this waits until the thread has done the queued calls and ended.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn QueuedCall>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, and the one for checkpoints.
    pub(super) fn start(shared: Arc<Shared>, log: Log, checkpointer: Checkpointer) -> io::Result<Self> {
        let (queue, calls) = mpsc::channel(QUEUE);
        let checkpointer = checkpointer.start()?;
        let writer =
            WriterLoop { shared, log, state: WriterState::Writing, last_append: None, throttle: LogThrottle::new() };
        let run = move || {
            writer.run(calls);
            if checkpointer.join().is_err() {
                tracing::error!("the store's thread for checkpoints has panicked");
            }
        };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(run)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Does an operation as one step, and returns when its changes are on disk.
    ///
    /// If this future is dropped while the queue is full, nothing is written. If it is dropped later, the operation is
    /// done unless its batch has not yet begun.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        purpose: WritePurpose,
        operation: impl FnOnce(&mut Tables<'_>) -> Result<T, RowsError> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(WriteCall { purpose, operation: Some(operation), result: None, reply })).await?;
        answer.await.map_err(|_| Error::unavailable(STOPPED))?
    }

    /// Checks that an ordinary write would be done now.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Probe { result: Ok(()), reply })).await?;
        answer.await.map_err(|_| Error::unavailable(STOPPED))?
    }

    async fn send(&self, call: Box<dyn QueuedCall>) -> Result<(), Error> {
        let queue = self.queue.as_ref().ok_or_else(|| Error::unavailable(STOPPED))?;
        queue.send(call).await.map_err(|_| Error::unavailable(STOPPED))
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

/// A call in the queue: a [`WriteCall`], whatever the type of its result, or a [`Probe`].
trait QueuedCall: Send {
    fn purpose(&self) -> WritePurpose;

    /// Does the operation in memory.
    fn run(&mut self, tables: &mut Tables<'_>);

    /// Replaces the result: the changes of the operation are dropped.
    fn fail(&mut self, error: Error);

    /// Whether the operation has failed, perhaps half-way.
    fn has_failed(&self) -> bool;

    /// Whether this call wants a frame written although it changes nothing.
    fn is_probe(&self) -> bool;

    /// Sends the result to the caller, or the error of the batch.
    fn answer(self: Box<Self>, batch: Result<(), Error>);
}

struct WriteCall<F, T> {
    purpose: WritePurpose,
    operation: Option<F>,
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> QueuedCall for WriteCall<F, T>
where
    F: FnOnce(&mut Tables<'_>) -> Result<T, RowsError> + Send,
    T: Send,
{
    fn purpose(&self) -> WritePurpose {
        self.purpose
    }

    fn run(&mut self, tables: &mut Tables<'_>) {
        // The operation is not run if the caller no longer waits for it.
        let Some(operation) = self.operation.take().filter(|_| !self.reply.is_closed()) else { return };
        self.result = Some(operation(tables).map_err(Error::from));
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn has_failed(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn is_probe(&self) -> bool {
        false
    }

    fn answer(self: Box<Self>, batch: Result<(), Error>) {
        let Self { result, reply, .. } = *self;
        let answer =
            batch.and_then(|()| result.unwrap_or_else(|| Err(Error::unavailable("the caller no longer waits"))));
        // Fails if the caller no longer waits.
        let _ = reply.send(answer);
    }
}

/// A call that writes nothing of its own.
struct Probe {
    result: Result<(), Error>,
    reply: oneshot::Sender<Result<(), Error>>,
}

impl QueuedCall for Probe {
    fn purpose(&self) -> WritePurpose {
        WritePurpose::Ordinary
    }

    fn run(&mut self, _tables: &mut Tables<'_>) {}

    fn fail(&mut self, error: Error) {
        self.result = Err(error);
    }

    fn has_failed(&self) -> bool {
        self.result.is_err()
    }

    fn is_probe(&self) -> bool {
        self.result.is_ok()
    }

    fn answer(self: Box<Self>, batch: Result<(), Error>) {
        let _ = self.reply.send(batch.and(self.result));
    }
}

type Batch = Vec<Box<dyn QueuedCall>>;

/// The state of the writer's thread.
struct WriterLoop {
    shared: Arc<Shared>,
    log: Log,
    state: WriterState,
    /// When a frame was written for the last time.
    last_append: Option<Instant>,
    throttle: LogThrottle,
}

/// Whether ordinary writes are done, as far as is known.
#[derive(Clone, Debug)]
enum WriterState {
    Writing,
    /// There was no room for one. It is looked for at intervals.
    Full {
        since: Arc<io::Error>,
        retry_time: Instant,
    },
    /// A frame could not be written, or a file is gone.
    Failing,
}

impl WriterLoop {
    fn run(mut self, mut calls: mpsc::Receiver<Box<dyn QueuedCall>>) {
        let mut batch = Batch::with_capacity(MAX_BATCH);
        while calls.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            let mut waiting = batch.drain(..).peekable();
            while waiting.peek().is_some() {
                self.write_frame(&mut waiting);
            }
        }
        self.stop();
    }

    /// Does calls in memory until they fill a frame, writes that, and answers them.
    fn write_frame(&mut self, waiting: &mut impl Iterator<Item = Box<dyn QueuedCall>>) {
        let mut calls = Batch::new();
        let written = catch_unwind(AssertUnwindSafe(|| {
            self.check_files()?;
            let changes = self.run_calls(waiting, &mut calls)?;
            self.append(&calls, changes)
        }));
        let written = written.unwrap_or_else(|_| {
            tracing::error!("the store's writer has panicked");
            Err(Arc::new(io::Error::other("the store's writer has panicked")))
        });
        if written.is_err() && calls.is_empty() {
            // One call at least, so that the loop ends.
            calls.extend(waiting.next());
        }
        for call in calls {
            call.answer(written.as_ref().copied().map_err(|error| Error::unavailable(Arc::clone(error))));
        }
    }

    /// Fails if a file is no longer where it was: what is written to it would be lost at the next start.
    fn check_files(&mut self) -> Result<(), Arc<io::Error>> {
        if self.shared.data_file.is_in_place() && self.log.is_in_place() {
            return Ok(());
        }
        let path = self.shared.data_file.path.clone();
        let error = Arc::new(io::Error::other(FileOpenError::Moved { path }));
        self.fail(&error);
        Err(error)
    }

    /// Does calls in memory, one after the other. Returns their changes, for which the log has room.
    fn run_calls(
        &mut self,
        waiting: &mut impl Iterator<Item = Box<dyn QueuedCall>>,
        calls: &mut Batch,
    ) -> Result<RowChanges, Arc<io::Error>> {
        self.switch_if_long();
        let shared = Arc::clone(&self.shared);
        let unavailable = |error: &'static str| Arc::new(io::Error::other(error));
        let mut changes = RowChanges::default();
        let rows = shared.rows();
        while changes.bytes() < MAX_FRAME {
            let Some(call) = waiting.next() else { break };
            calls.push(call);
            let Some(call) = calls.last_mut() else { break };
            let rows = rows.as_ref().map_err(|error| unavailable(error))?;
            let view = rows.view(Some(&changes)).ok_or_else(|| unavailable(CLOSED))?;
            let mut tables = Tables::new(view);
            // The database panics at some kinds of damage. That is no failure of the other calls.
            if catch_unwind(AssertUnwindSafe(|| call.run(&mut tables))).is_err() {
                if let Some(count) = self.throttle.count() {
                    tracing::error!(count, "a write has panicked: the data file may be damaged");
                }
                call.fail(Error::Corrupt);
            }
            if call.has_failed() {
                continue;
            }
            let own = tables.into_changes();
            if own.is_empty() && !call.is_probe() {
                continue;
            }
            match self.make_room(changes.bytes() + own.bytes(), call.purpose()) {
                Ok(()) => changes.extend(own),
                Err(error) if is_full_io(&error) => call.fail(Error::Full(Box::new(error))),
                Err(error) => call.fail(Error::unavailable(error)),
            }
        }
        if rows.is_ok_and(|rows| rows.has_failed()) {
            shared.request_reopen();
        }
        Ok(changes)
    }

    /// Makes room in the log for changes. Fails if the disk is full.
    fn make_room(&mut self, bytes: usize, purpose: WritePurpose) -> Result<(), Arc<io::Error>> {
        // After it was full, for more than this one: health would go up and down otherwise.
        let (bytes, was_full) = match &self.state {
            WriterState::Full { since, retry_time } if purpose == WritePurpose::Ordinary => {
                if Instant::now() < *retry_time {
                    return Err(Arc::clone(since));
                }
                (bytes + RESUME_BYTES, true)
            }
            _ => (bytes, false),
        };
        match self.log.make_room(bytes, purpose) {
            Ok(()) => {
                if was_full {
                    tracing::info!("the store has room again");
                    self.state = WriterState::Writing;
                    self.shared.retry_checkpoint();
                }
                Ok(())
            }
            Err(error) => {
                let error = Arc::new(error);
                if !is_full_io(&error) {
                    self.fail(&error);
                } else if purpose == WritePurpose::Ordinary || !matches!(self.state, WriterState::Full { .. }) {
                    self.refuse(&error);
                }
                Err(error)
            }
        }
    }

    /// Notes that there was no room.
    fn refuse(&mut self, error: &Arc<io::Error>) {
        if !matches!(self.state, WriterState::Full { .. })
            && let Some(count) = self.throttle.count()
        {
            let error: &dyn std::error::Error = error;
            tracing::error!(error, count, "the disk of the store is full: sessions can be read and ended only");
        }
        self.state = WriterState::Full { since: Arc::clone(error), retry_time: Instant::now() + FULL_RETRY_INTERVAL };
    }

    /// Begins the other file of the log if this one is long, and makes a checkpoint of this one.
    fn switch_if_long(&mut self) {
        let is_full = matches!(self.state, WriterState::Full { .. }) && self.log.used() > 0;
        if self.log.used() < SEGMENT && !is_full {
            return;
        }
        // The data file is slower than the callers: they have to wait.
        if self.log.used() >= MAX_SEGMENT / 2 {
            let _ = self.shared.await_checkpoint(MAX_WAIT);
        }
        // While the disk fails, the frames to come fail as well, and say so.
        if self.log.replace_failed_frame().is_ok() && self.shared.freeze(self.log.number()) {
            self.log.switch();
        }
    }

    /// Writes the changes of the calls. They are on disk, and all reads find them, when this returns.
    fn append(&mut self, calls: &Batch, changes: RowChanges) -> Result<(), Arc<io::Error>> {
        let is_recent = self.last_append.is_some_and(|time| time.elapsed() < PROBE_INTERVAL);
        let is_probed =
            calls.iter().any(|call| call.is_probe()) && (!is_recent || matches!(self.state, WriterState::Failing));
        if changes.is_empty() && !is_probed {
            return Ok(());
        }
        if let Err(error) = self.log.append(&changes) {
            let error = Arc::new(error);
            self.fail(&error);
            return Err(error);
        }
        self.last_append = Some(Instant::now());
        if matches!(self.state, WriterState::Failing) {
            tracing::info!("the store writes again");
            self.state = WriterState::Writing;
        }
        self.shared.publish(changes);
        Ok(())
    }

    /// Notes that writes fail.
    fn fail(&mut self, error: &Arc<io::Error>) {
        if let Some(count) = self.throttle.count() {
            let error: &dyn std::error::Error = error;
            tracing::error!(error, count, "the store has failed to write");
        }
        self.state = WriterState::Failing;
    }

    /// Writes everything into the data file, as far as the disk allows it, and ends the checkpoints.
    fn stop(&self) {
        let _ = self.shared.await_checkpoint(STOP_WAIT);
        self.shared.stop(self.log.number());
    }
}

impl fmt::Debug for WriterLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterLoop").field("log", &self.log).finish_non_exhaustive()
    }
}

/// How many calls the queue holds. Further ones wait until there is room.
const QUEUE: usize = 4096;

/// The most calls in one frame.
const MAX_BATCH: usize = 1024;

/// The bytes of changes after which a frame takes no further call.
const MAX_FRAME: usize = 1 << 20;

/// How long writes wait for a slow checkpoint.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How long a stop waits for the checkpoint under way.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// How much room there has to be before a store that was full takes ordinary writes again.
const RESUME_BYTES: usize = 64 << 10;

/// How often a full store looks for room.
const FULL_RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// How long a written frame counts as proof that the disk works.
const PROBE_INTERVAL: Duration = Duration::from_millis(900);

const STOPPED: &str = "the store's writer has stopped";
