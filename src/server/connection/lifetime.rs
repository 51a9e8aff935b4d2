//! How long a connection may live: until its first call, without calls, and at all.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::activity::{Activity, ConnectionPhase};
use crate::server::Settings;
use crate::types::random;

/// The time spans of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// What running calls may still take when the connection is over.
    pub(crate) drain: Duration,
    /// What a connection has until its first call, and before that until TLS is agreed on.
    pub(crate) preface: Duration,
    idle: Duration,
    age: Duration,
}

impl Lifetime {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            drain: settings.drain_timeout,
            preface: settings.first_request_timeout,
            idle: settings.idle_timeout,
            age: settings.max_connection_age,
        }
    }

    /// Answers when a connection that begins now should end, whatever it does.
    pub(crate) async fn over(self, activity: &Activity) {
        let begin = Instant::now();
        let end = begin + jittered(self.age);
        loop {
            let now = Instant::now();
            let until = match activity.phase() {
                ConnectionPhase::Fresh => end.min(begin + self.preface),
                ConnectionPhase::Busy(_) => end,
                ConnectionPhase::Idle(since) => end.min(since + self.idle),
            };
            if until <= now {
                return;
            }
            // The phase may change at any time, and a call must not cost a timer: look again when an idle time
            // that begins now would be over.
            time::sleep_until(until.min(now + self.idle)).await;
        }
    }
}

/// Up to a tenth more or less, so that callers that came together do not come back together.
fn jittered(age: Duration) -> Duration {
    let share = f64::from(u16::from_be_bytes(random::bytes())) / f64::from(u16::MAX);
    age.mul_f64(0.9 + 0.2 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        let age = Duration::from_secs(1000);

        let ages: Vec<_> = (0..100).map(|_| jittered(age)).collect();

        assert!(ages.iter().all(|age| (900..=1100).contains(&age.as_secs())));
        assert!(ages.iter().any(|age| *age != ages[0]));
    }
}
