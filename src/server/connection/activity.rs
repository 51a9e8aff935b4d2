//! Whether a connection is in use.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The phase of one connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Activity(Arc<Mutex<ConnectionPhase>>);

/// Whether streams are open on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// No stream has been opened yet.
    #[default]
    New,
    /// The number of open streams.
    Active(usize),
    /// The time when the last stream was closed.
    Idle(Instant),
}

impl Activity {
    pub(super) fn phase(&self) -> ConnectionPhase {
        *self.0.lock()
    }

    /// Counts a stream as open until the guard is dropped.
    pub(in crate::server) fn open_stream(&self) -> StreamGuard {
        let mut phase = self.0.lock();
        *phase = match *phase {
            ConnectionPhase::New | ConnectionPhase::Idle(_) => ConnectionPhase::Active(1),
            ConnectionPhase::Active(open) => ConnectionPhase::Active(open + 1),
        };
        StreamGuard(self.clone())
    }
}

/// Counts one stream as open until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct StreamGuard(Activity);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let mut phase = self.0.0.lock();
        *phase = match *phase {
            ConnectionPhase::Active(open) if open > 1 => ConnectionPhase::Active(open - 1),
            ConnectionPhase::New | ConnectionPhase::Active(_) | ConnectionPhase::Idle(_) => {
                ConnectionPhase::Idle(Instant::now())
            }
        };
    }
}
