//! Whether a connection is in use.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What one connection is doing. Clones watch the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Mutex<Phase>>);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
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
    pub(super) fn phase(&self) -> Phase {
        *self.0.lock()
    }

    /// Counts a stream as open until the answer is dropped.
    pub(super) fn begin(&self) -> Stream {
        let mut phase = self.0.lock();
        *phase = match *phase {
            Phase::Fresh | Phase::Idle(_) => Phase::Busy(1),
            Phase::Busy(open) => Phase::Busy(open + 1),
        };
        Stream(self.clone())
    }

    fn end(&self) {
        let mut phase = self.0.lock();
        *phase = match *phase {
            Phase::Busy(open) if open > 1 => Phase::Busy(open - 1),
            Phase::Fresh | Phase::Busy(_) | Phase::Idle(_) => Phase::Idle(Instant::now()),
        };
    }
}

/// A stream that is open while this lives.
#[derive(Debug)]
pub(super) struct Stream(Activity);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.end();
    }
}
