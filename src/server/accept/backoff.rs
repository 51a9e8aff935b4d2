//! How long to leave a listener alone that cannot accept.
//!
//! Without a pause an accept loop that has run out of file descriptors is a busy loop: the waiting
//! connection keeps the listener ready.

use std::io;
use std::time::Duration;

/// The pauses of one episode of failing accepts, from the first failure to the next success.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Option<Duration>,
}

/// What to do about a failed accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Only that connection is lost: accept the next one.
    Continue,
    /// A new episode: tell the log, and wait.
    Begin(Duration),
    /// The same episode: wait.
    Wait(Duration),
}

impl Backoff {
    /// What to do after this failure.
    pub(crate) fn advise(&mut self, error: &io::Error) -> Advice {
        if concerns_one_connection(error) {
            return Advice::Continue;
        }
        match self.last {
            None => Advice::Begin(*self.last.insert(FIRST)),
            Some(last) => Advice::Wait(*self.last.insert(LONGEST.min(last * 2))),
        }
    }

    /// Notes a success; answers whether it ended an episode.
    pub(crate) fn succeed(&mut self) -> bool {
        self.last.take().is_some()
    }
}

/// Linux hands the errors of a connection that is not accepted yet to accept(2). All else is taken to last.
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

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const EMFILE: i32 = 24;
    const ECONNABORTED: i32 = 103;

    #[test]
    fn pauses_double_up_to_a_second_and_start_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let mut advise = || backoff.advise(&io::Error::from_raw_os_error(EMFILE));

        assert_eq!(advise(), Advice::Begin(FIRST));
        for millis in [100, 200, 400, 800, 1000, 1000] {
            assert_eq!(advise(), Advice::Wait(Duration::from_millis(millis)));
        }

        assert!(backoff.succeed());
        assert!(!backoff.succeed());
        assert_eq!(backoff.advise(&io::Error::from_raw_os_error(EMFILE)), Advice::Begin(FIRST));
    }

    #[test]
    fn an_aborted_connection_delays_nobody() {
        let mut backoff = Backoff::default();

        assert_eq!(backoff.advise(&io::Error::from_raw_os_error(ECONNABORTED)), Advice::Continue);
        assert!(!backoff.succeed());
    }
}
