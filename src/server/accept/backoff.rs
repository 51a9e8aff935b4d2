//! The delays between failed accepts.
//!
//! Without a delay, an accept loop that has run out of file descriptors is a busy loop, because the waiting connection
//! keeps the listener ready.

use std::io;
use std::time::Duration;

/// The delays from the first failed accept to the next successful one.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// `None`: the last accept was successful.
    last_delay: Option<Duration>,
}

/// When to accept again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// The failure concerns one connection only.
    Immediately,
    /// This is the first failure after a success, so it is worth a log line.
    FirstDelay(Duration),
    NextDelay(Duration),
}

impl Backoff {
    /// Records a failed accept and returns when to try again.
    pub(super) fn on_failure(&mut self, error: &io::Error) -> Retry {
        if concerns_one_connection(error) {
            return Retry::Immediately;
        }
        match self.last_delay {
            None => Retry::FirstDelay(*self.last_delay.insert(MIN_DELAY)),
            Some(last) => Retry::NextDelay(*self.last_delay.insert(MAX_DELAY.min(last * 2))),
        }
    }

    /// Records a successful accept and returns whether it is the first one after a failure.
    pub(super) fn on_success(&mut self) -> bool {
        self.last_delay.take().is_some()
    }
}

/// Whether an error is one of the new connection, which accept(2) returns on Linux. Any other error may persist.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, PermissionDenied, TimedOut,
    };

    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

const MIN_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const EMFILE: i32 = 24;
    const ECONNABORTED: i32 = 103;

    #[test]
    fn delays_double_up_to_a_second_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let mut fail = || backoff.on_failure(&io::Error::from_raw_os_error(EMFILE));

        assert_eq!(fail(), Retry::FirstDelay(MIN_DELAY));
        for millis in [100, 200, 400, 800, 1000, 1000] {
            assert_eq!(fail(), Retry::NextDelay(Duration::from_millis(millis)));
        }

        assert!(backoff.on_success());
        assert!(!backoff.on_success());
        assert_eq!(backoff.on_failure(&io::Error::from_raw_os_error(EMFILE)), Retry::FirstDelay(MIN_DELAY));
    }

    #[test]
    fn an_aborted_connection_causes_no_delay() {
        let mut backoff = Backoff::default();

        assert_eq!(backoff.on_failure(&io::Error::from_raw_os_error(ECONNABORTED)), Retry::Immediately);
        assert!(!backoff.on_success());
    }
}
