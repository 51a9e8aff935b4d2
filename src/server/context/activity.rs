//! Whether a connection is in use, and how it has to end.

use std::sync::Arc;

use http::Version;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The state of one connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Activity(Arc<Mutex<ConnectionState>>);

#[derive(Debug, Default)]
struct ConnectionState {
    phase: ConnectionPhase,
    /// Whether its requests are those of HTTP/1.1, which has no GOAWAY.
    speaks_http1: bool,
    /// How many requests have begun.
    requests: u64,
    end: ConnectionEnding,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ConnectionEnding {
    #[default]
    Open,
    /// The next response has to be the last.
    Due,
    /// A response has said that it is the last, or a GOAWAY has said that no more calls are begun.
    Announced,
}

/// Whether streams are open on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) enum ConnectionPhase {
    /// No stream has been opened yet.
    #[default]
    New,
    /// The number of open streams.
    Active(usize),
    /// The time when the last stream was closed.
    Idle(Instant),
}

impl Activity {
    pub(in crate::server) fn phase(&self) -> ConnectionPhase {
        self.0.lock().phase
    }

    /// Whether the last request was one of HTTP/1.1.
    pub(in crate::server) fn speaks_http1(&self) -> bool {
        self.0.lock().speaks_http1
    }

    /// Returns how many requests have begun. `None` while one of them is not answered.
    pub(in crate::server) fn requests_before_idle(&self) -> Option<u64> {
        let state = self.0.lock();
        matches!(state.phase, ConnectionPhase::Idle(_)).then_some(state.requests)
    }

    /// Makes the next response by HTTP/1.1 the last.
    pub(in crate::server) fn end_with_next_response(&self) {
        let mut state = self.0.lock();
        if state.end == ConnectionEnding::Open {
            state.end = ConnectionEnding::Due;
        }
    }

    /// Whether the next response by HTTP/1.1 has to say that it is the last.
    pub(in crate::server) fn is_end_due(&self) -> bool {
        self.0.lock().end != ConnectionEnding::Open
    }

    /// Records that a response says that it is the last, or that a GOAWAY is sent.
    pub(in crate::server) fn announce_end(&self) {
        self.0.lock().end = ConnectionEnding::Announced;
    }

    /// Whether the peer has been told that no more calls are begun.
    pub(in crate::server) fn has_announced_end(&self) -> bool {
        self.0.lock().end == ConnectionEnding::Announced
    }

    /// Counts the stream of a request as open until the guard is dropped.
    pub(in crate::server) fn open_stream(&self, version: Version) -> StreamGuard {
        let mut state = self.0.lock();
        state.speaks_http1 = version < Version::HTTP_2;
        state.requests += 1;
        state.phase = match state.phase {
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
        let mut state = self.0.0.lock();
        state.phase = match state.phase {
            ConnectionPhase::Active(open) if open > 1 => ConnectionPhase::Active(open - 1),
            ConnectionPhase::New | ConnectionPhase::Active(_) | ConnectionPhase::Idle(_) => {
                ConnectionPhase::Idle(Instant::now())
            }
        };
    }
}
