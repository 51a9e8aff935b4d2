//! Throttled logging: an outage fails thousands of calls a second, and one log line a second counts them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Limits the log lines about one kind of event to one a second, and counts the events.
#[derive(Debug)]
pub struct LogThrottle(Mutex<ThrottleState>);

#[derive(Debug)]
struct ThrottleState {
    /// `None` before the first log line.
    last_log: Option<Instant>,
    /// The events since the last log line.
    count: u64,
}

impl LogThrottle {
    /// Creates a throttle that allows a log line at once.
    pub const fn new() -> Self {
        Self(Mutex::new(ThrottleState { last_log: None, count: 0 }))
    }

    /// Counts an event, and decides whether to log it now.
    ///
    /// Returns the number of events since the last log line, with this one. `None` if that line is less than a second
    /// ago: then do not log.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.count += 1;
        if state.last_log.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            return None;
        }
        state.last_log = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

impl Default for LogThrottle {
    fn default() -> Self {
        Self::new()
    }
}

const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_events_are_logged_once_a_second_with_their_number() {
        let (throttle, start) = (LogThrottle::new(), Instant::now());

        let counts =
            [0, 1, 999, 1000, 1001, 5000].map(|millis| throttle.count_at(start + Duration::from_millis(millis)));

        assert_eq!(counts, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
