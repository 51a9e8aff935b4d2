//! Whether a connection is in use.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What one connection is doing. Clones watch the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Mutex<ConnectionPhase>>);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ConnectionPhase {
    /// It has not opened a stream yet.
    #[default]
    Fresh,
    /// So many streams are open.
    Busy(usize),
    /// No stream has been open since then.
    Idle(Instant),
}

impl Activity {
    /// What the connection is doing now.
    pub(crate) fn phase(&self) -> ConnectionPhase {
        *self.0.lock()
    }

    /// Counts a stream as open until the answer is dropped.
    pub(crate) fn begin(&self) -> OpenStream {
        let mut phase = self.0.lock();
        *phase = match *phase {
            ConnectionPhase::Fresh | ConnectionPhase::Idle(_) => ConnectionPhase::Busy(1),
            ConnectionPhase::Busy(open) => ConnectionPhase::Busy(open + 1),
        };
        OpenStream(self.clone())
    }

    fn end(&self) {
        let mut phase = self.0.lock();
        *phase = match *phase {
            ConnectionPhase::Busy(open) if open > 1 => ConnectionPhase::Busy(open - 1),
            ConnectionPhase::Fresh | ConnectionPhase::Busy(_) | ConnectionPhase::Idle(_) => {
                ConnectionPhase::Idle(Instant::now())
            }
        };
    }
}

/// A stream that is open while this lives.
#[derive(Debug)]
pub(crate) struct OpenStream(Activity);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.end();
    }
}
