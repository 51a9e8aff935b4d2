//! A bounded queue of log lines, so that a slow reader of stderr does not block the workers.
//!
//! A full queue drops lines, and their number is written as soon as there is room again. The library for this,
//! tracing-appender, also has files, rotation and a calendar: nine crates for one channel.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Takes log lines, and never blocks.
#[derive(Clone, Debug)]
pub(super) struct LogQueue {
    lines: SyncSender<LogMessage>,
    state: Arc<QueueState>,
}

/// Ends the queue when it is dropped. Waits until the queued lines are written, but at most [`FLUSH_TIMEOUT`].
#[derive(Debug)]
pub(super) struct QueueGuard {
    queue: LogQueue,
    /// Disconnected when the thread has ended.
    finished: Receiver<()>,
}

#[derive(Debug)]
enum LogMessage {
    Line(Vec<u8>),
    /// Wakes the thread, so that it sees `ending`.
    WakeUp,
}

#[derive(Debug, Default)]
struct QueueState {
    /// The lines that were dropped since the last line was written.
    dropped: AtomicU64,
    ending: AtomicBool,
}

/// Starts a thread that writes the lines of a new queue to `target`.
pub(super) fn open(target: impl Write + Send + 'static, capacity: usize) -> io::Result<(LogQueue, QueueGuard)> {
    let (lines, queued) = sync_channel(capacity);
    let (running, finished) = sync_channel(0);
    let queue = LogQueue { lines, state: Arc::default() };
    let state = Arc::clone(&queue.state);
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        write_lines(&queued, target, &state);
        drop(running);
    })?;
    Ok((queue.clone(), QueueGuard { queue, finished }))
}

impl LogQueue {
    fn push(&self, line: &[u8]) {
        if self.lines.try_send(LogMessage::Line(line.to_vec())).is_err() {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'q> MakeWriter<'q> for LogQueue {
    type Writer = Self;

    fn make_writer(&'q self) -> Self {
        self.clone()
    }
}

/// tracing-subscriber writes each event with one call.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for QueueGuard {
    fn drop(&mut self) {
        self.queue.state.ending.store(true, Ordering::SeqCst);
        // If the queue is full, the thread is writing a line, and checks `ending` after it.
        let _: Result<(), TrySendError<LogMessage>> = self.queue.lines.try_send(LogMessage::WakeUp);
        let _: Result<(), RecvTimeoutError> = self.finished.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// Writes lines until the queue ends. Ignores errors of stderr, because there is no other place to report them.
fn write_lines(queued: &Receiver<LogMessage>, mut target: impl Write, state: &QueueState) {
    let mut next = queued.recv().ok();
    while let Some(message) = next {
        if let LogMessage::Line(line) = message {
            let _: io::Result<()> = target.write_all(&line);
        }
        let dropped = state.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _: io::Result<()> = writeln!(target, "cloakroom: {dropped} log lines were dropped here");
        }
        next = if state.ending.load(Ordering::SeqCst) { queued.try_recv().ok() } else { queued.recv().ok() };
    }
    let _: io::Result<()> = target.flush();
}

/// The time that an ending process waits for a slow reader of its last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{RecvError, channel};

    use super::*;

    /// A writer that blocks until `opened` is disconnected.
    struct Gate {
        opened: Receiver<()>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _: Result<(), RecvError> = self.opened.recv();
            self.text.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_reader_loses_lines_but_does_not_block_the_writer() {
        let (open_gate, opened) = channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let (mut queue, guard) = open(Gate { opened, text: Arc::clone(&text) }, 2).unwrap();

        for n in 0..100 {
            writeln!(queue, "line {n}").unwrap();
        }
        drop(open_gate);
        drop((queue, guard));

        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line "), "{text}");
        assert!(text.contains("log lines were dropped here"), "{text}");
    }
}
