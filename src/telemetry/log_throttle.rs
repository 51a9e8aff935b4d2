//! Seldom: what happens thousands of times a second in an outage is told once a second, with how often it happened.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// One thing that happens too often to be told each time.
#[derive(Debug)]
pub struct LogThrottle(Mutex<ThrottleState>);

#[derive(Debug)]
struct ThrottleState {
    told: Option<Instant>,
    untold: u64,
}

impl LogThrottle {
    /// Nothing has happened yet.
    pub const fn new() -> Self {
        Self(Mutex::new(ThrottleState { told: None, untold: 0 }))
    }

    /// It happened. How often since it was told the last time, if it is to be told now: the first time at once.
    pub fn should_log(&self) -> Option<u64> {
        self.should_log_at(Instant::now())
    }

    fn should_log_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.untold += 1;
        if state.told.is_some_and(|told| now.duration_since(told) < PAUSE) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

impl Default for LogThrottle {
    fn default() -> Self {
        Self::new()
    }
}

/// How long it is not told again.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_told_once_a_second_and_counted() {
        let (seldom, begin) = (LogThrottle::new(), Instant::now());

        let told =
            [0, 1, 999, 1000, 1001, 5000].map(|millis| seldom.should_log_at(begin + Duration::from_millis(millis)));

        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
