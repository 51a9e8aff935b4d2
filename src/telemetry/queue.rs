//! The way of log lines to stderr: a bounded queue, so that a stalled reader stalls no worker.
//!
//! A full queue drops lines, and says how many once it moves again. A library for this exists
//! (tracing-appender), but brings files, rotation and a calendar: nine crates for one channel.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Where log lines are put. Never waits.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lines: SyncSender<Message>,
    state: Arc<QueueState>,
}

/// The far end; when it goes, what is queued is written first, for as long as [`LAST_WAIT`].
#[derive(Debug)]
pub(super) struct Drain {
    queue: Queue,
    written: Receiver<()>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    WakeUp,
}

#[derive(Debug, Default)]
struct QueueState {
    dropped: AtomicU64,
    ending: AtomicBool,
}

/// A queue whose lines a thread writes to `target`.
pub(super) fn open(target: impl Write + Send + 'static, capacity: usize) -> io::Result<(Queue, Drain)> {
    let (lines, waiting) = sync_channel(capacity);
    let (done, written) = sync_channel(0);
    let queue = Queue { lines, state: Arc::default() };
    let state = Arc::clone(&queue.state);
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        write_all(&waiting, target, &state);
        drop(done);
    })?;
    Ok((queue.clone(), Drain { queue, written }))
}

impl Queue {
    fn put(&self, line: &[u8]) {
        if self.lines.try_send(Message::Line(line.to_vec())).is_err() {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'q> MakeWriter<'q> for Queue {
    type Writer = Self;

    fn make_writer(&'q self) -> Self {
        self.clone()
    }
}

/// tracing-subscriber writes each event with one call.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.queue.state.ending.store(true, Ordering::SeqCst);
        // No place in the queue is no harm: the thread finds the mark after the line that it writes.
        let _: Result<(), TrySendError<Message>> = self.queue.lines.try_send(Message::WakeUp);
        let _: Result<(), RecvTimeoutError> = self.written.recv_timeout(LAST_WAIT);
    }
}

/// An error of stderr has nowhere to be told: the line is lost and the next one is tried.
fn write_all(waiting: &Receiver<Message>, mut target: impl Write, state: &QueueState) {
    let mut next = waiting.recv().ok();
    while let Some(message) = next {
        if let Message::Line(line) = message {
            let _: io::Result<()> = target.write_all(&line);
        }
        let missing = state.dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _: io::Result<()> = writeln!(target, "cloakroom: {missing} log lines were dropped here");
        }
        next = if state.ending.load(Ordering::SeqCst) { waiting.try_recv().ok() } else { waiting.recv().ok() };
    }
    let _: io::Result<()> = target.flush();
}

/// How long an ending process waits for its last lines to be read.
const LAST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{RecvError, channel};

    use super::*;

    /// A writer that stands still until it is let go.
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
    fn a_stalled_reader_costs_lines_and_never_a_worker() {
        let (open_gate, opened) = channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let (mut queue, drain) = open(Gate { opened, text: Arc::clone(&text) }, 2).unwrap();

        for n in 0..100 {
            writeln!(queue, "line {n}").unwrap();
        }
        drop(open_gate);
        drop((queue, drain));

        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line "), "{text}");
        assert!(text.contains("log lines were dropped here"), "{text}");
    }
}
