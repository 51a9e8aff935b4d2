//! How long a read of the feed waits for a node of a cluster, so that one that hangs does not delay the events of others.
//!
//! A read that takes longer goes on without its reader, and nobody begins another one meanwhile. If it is answered, the
//! node is slow, and the next reader waits longer. If not, the node hangs, and no reader waits until it answers again.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// How long reads of one node are waited for.
#[derive(Debug)]
pub(in crate::store::redis) struct FeedTimeout(Mutex<FeedReadState>);

#[derive(Debug)]
struct FeedReadState {
    timeout: Duration,
    /// The last read that went on without its reader.
    late: Option<AbortHandle>,
}

impl FeedTimeout {
    /// How long to wait for a read that begins now. `None`: an earlier one has no answer yet.
    pub(in crate::store::redis) fn for_next(&self) -> Option<Duration> {
        let state = self.0.lock();
        state.late.as_ref().is_none_or(AbortHandle::is_finished).then_some(state.timeout)
    }

    /// Notes that a read goes on without its reader.
    pub(in crate::store::redis) fn note_late(&self, read: AbortHandle) {
        self.0.lock().late = Some(read);
    }

    /// Notes that a read was answered after so long.
    pub(in crate::store::redis) fn note_answer(&self, took: Duration) {
        self.0.lock().timeout = DEFAULT_TIMEOUT.max(2 * took);
    }

    /// Notes that a read has failed after so long. One that fails at once delays nobody.
    pub(in crate::store::redis) fn note_failure(&self, took: Duration) {
        if took >= DEFAULT_TIMEOUT {
            self.0.lock().timeout = Duration::ZERO;
        }
    }
}

impl Default for FeedTimeout {
    fn default() -> Self {
        Self(Mutex::new(FeedReadState { timeout: DEFAULT_TIMEOUT, late: None }))
    }
}

/// How long a node is waited for that has answered as fast as most do.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(250);
