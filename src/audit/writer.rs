//! The thread that writes the audit log, and the bounded queue before it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::{info, warn};

use super::SessionEnd;
use super::folder::{Day, DayFile, Folder};
use crate::telemetry::LogThrottle;
use crate::types::Clock;

/// Takes ends, and never blocks.
#[derive(Debug)]
pub(super) struct AuditQueue {
    messages: SyncSender<AuditMessage>,
    state: Arc<AuditState>,
}

/// Ends the log when it is dropped. Waits until the queued ends are written, but at most a second.
#[derive(Debug)]
pub struct AuditGuard {
    messages: SyncSender<AuditMessage>,
    state: Arc<AuditState>,
    /// Disconnected when the thread has ended.
    finished: Receiver<()>,
}

/// The numbers of ends since the process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCounts {
    /// The ends that are in the files.
    pub written: u64,
    /// The ends that are not, because the disk was full, slow or broken.
    pub lost: u64,
}

#[derive(Debug)]
enum AuditMessage {
    End(Box<SessionEnd>),
    /// Wakes the thread, so that it sees `is_ending`.
    WakeUp,
}

#[derive(Debug, Default)]
struct AuditState {
    written: AtomicU64,
    lost: AtomicU64,
    is_ending: AtomicBool,
}

struct AuditWriter {
    folder: Folder,
    keep_days: u32,
    clock: Arc<dyn Clock>,
    queued: Receiver<AuditMessage>,
    state: Arc<AuditState>,
    /// The day on which old files were deleted last.
    deleted_on: Option<Day>,
}

/// Starts the thread.
pub(super) fn start(folder: Folder, keep_days: u32, clock: Arc<dyn Clock>) -> io::Result<(AuditQueue, AuditGuard)> {
    let (messages, queued) = sync_channel(QUEUED_ENDS);
    let (running, finished) = sync_channel(0);
    let state = Arc::<AuditState>::default();
    let writer = AuditWriter { folder, keep_days, clock, queued, state: Arc::clone(&state), deleted_on: None };
    thread::Builder::new().name("audit".to_owned()).spawn(move || {
        writer.run();
        drop(running);
    })?;
    let guard = AuditGuard { messages: messages.clone(), state: Arc::clone(&state), finished };
    Ok((AuditQueue { messages, state }, guard))
}

impl AuditQueue {
    pub(super) fn push(&self, end: SessionEnd) {
        if self.messages.try_send(AuditMessage::End(Box::new(end))).is_err() {
            self.state.lose(None);
        }
    }

    pub(super) fn counts(&self) -> AuditCounts {
        let AuditState { written, lost, .. } = &*self.state;
        AuditCounts { written: written.load(Ordering::Relaxed), lost: lost.load(Ordering::Relaxed) }
    }
}

impl AuditState {
    /// Counts an end that is lost. Without an error the queue was full.
    fn lose(&self, error: Option<&io::Error>) {
        static LOST: LogThrottle = LogThrottle::new();
        self.lost.fetch_add(1, Ordering::Relaxed);
        if let Some(ends) = LOST.count() {
            let error = error.map_or_else(|| "the disk is too slow".to_owned(), ToString::to_string);
            warn!(ends, error, "the audit log cannot be written: these ends of sessions are not in it");
        }
    }
}

impl Drop for AuditGuard {
    fn drop(&mut self) {
        self.state.is_ending.store(true, Ordering::SeqCst);
        // If the queue is full, the thread is writing, and checks `is_ending` after it.
        let _: Result<(), TrySendError<AuditMessage>> = self.messages.try_send(AuditMessage::WakeUp);
        if self.finished.recv_timeout(FLUSH_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            warn!("the disk is too slow: the last ends of sessions are not in the audit log");
        }
    }
}

impl AuditWriter {
    /// Writes until the log ends.
    fn run(mut self) {
        let mut file = None;
        loop {
            self.delete_old_files();
            match self.next(&mut file) {
                Ok(AuditMessage::End(end)) => self.write_and_count(&mut file, &end),
                Ok(AuditMessage::WakeUp) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits for the next message. `Disconnected`: the log ends, and all that was queued is written.
    fn next(&self, file: &mut Option<DayFile>) -> Result<AuditMessage, RecvTimeoutError> {
        if let Ok(message) = self.queued.try_recv() {
            return Ok(message);
        }
        // Somebody may move the file away before the next end.
        *file = None;
        if self.state.is_ending.load(Ordering::SeqCst) {
            return Err(RecvTimeoutError::Disconnected);
        }
        self.queued.recv_timeout(DELETION_INTERVAL)
    }

    fn write_and_count(&self, file: &mut Option<DayFile>, end: &SessionEnd) {
        match self.write(file, end) {
            Ok(()) => _ = self.state.written.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                // Opening it again finds the torn line.
                *file = None;
                self.state.lose(Some(&error));
            }
        }
    }

    fn write(&self, file: &mut Option<DayFile>, end: &SessionEnd) -> io::Result<()> {
        let day = Day::of(end.time);
        if file.is_none() || self.state.written.load(Ordering::Relaxed).is_multiple_of(LINES_BETWEEN_CHECKS) {
            self.folder.check_room()?;
        }
        let file = match file {
            Some(file) if file.day == day => file,
            _ => file.insert(self.folder.open_file(day)?),
        };
        file.append(&end.to_line())
    }

    /// Deletes the files that are too old, at the start and then once a day.
    fn delete_old_files(&mut self) {
        let today = Day::of(self.clock.now());
        if self.deleted_on == Some(today) {
            return;
        }
        self.deleted_on = Some(today);
        match self.folder.delete_before(today.before(self.keep_days)) {
            Ok(0) => {}
            // After a jump of the clock it may be all of them.
            Ok(files) => info!(files, keep_days = self.keep_days, "old files of the audit log are deleted"),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "old files of the audit log cannot be deleted");
            }
        }
    }
}

/// How many lines are written at most between two looks at the room of the disk.
const LINES_BETWEEN_CHECKS: u64 = 1024;

/// The capacity of the queue: some megabytes at most, and the ends of a busy second.
const QUEUED_ENDS: usize = 8192;

/// The time that an ending process waits for a slow disk.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a thread without work looks whether a new day has begun.
const DELETION_INTERVAL: Duration = Duration::from_secs(10 * 60);
