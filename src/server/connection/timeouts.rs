//! How long a connection may live: until its first call, without calls, and in total.

use std::time::Duration;

use tokio::time::{self, Instant};

use crate::server::Settings;
use crate::server::context::{Activity, ConnectionPhase};
use crate::types::random;

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct ConnectionTimeouts {
    /// For running calls after the connection has expired or the server has stopped.
    pub(super) drain: Duration,
    /// For the TLS handshake, and then again for the first call.
    pub(super) first_request: Duration,
    /// For the peer to read a response.
    pub(super) send: Duration,
    /// For the head of a request by HTTP/1.1, after the first one.
    pub(super) head: Duration,
    idle: Duration,
    max_age: Duration,
}

impl ConnectionTimeouts {
    pub(in crate::server) fn new(settings: &Settings) -> Self {
        Self {
            drain: settings.drain_timeout,
            first_request: settings.first_request_timeout,
            send: settings.send_timeout,
            head: settings.request_timeout,
            idle: settings.idle_timeout,
            max_age: settings.max_connection_age,
        }
    }

    /// Waits until a connection that begins now has to end, even if calls are running.
    pub(super) async fn wait_until_expired(self, activity: &Activity) {
        let start = Instant::now();
        let end = start + jittered(self.max_age);
        loop {
            let now = Instant::now();
            let expiry = match activity.phase() {
                ConnectionPhase::New => end.min(start + self.first_request),
                ConnectionPhase::Active(_) => end,
                ConnectionPhase::Idle(since) => end.min(since + self.idle),
            };
            if expiry <= now {
                return;
            }
            // The phase may change at any time, and a call must not cost a timer. So the phase is checked again at the
            // earliest time when a connection that becomes idle now would expire.
            time::sleep_until(expiry.min(now + self.idle)).await;
        }
    }

    /// Waits until a connection has been idle for too long, or its calls have had their time to end.
    pub(super) async fn wait_until_idle(self, activity: &Activity) {
        let latest = Instant::now() + self.drain;
        loop {
            let now = Instant::now();
            let expiry = match activity.phase() {
                ConnectionPhase::Idle(since) => since + self.idle,
                ConnectionPhase::New | ConnectionPhase::Active(_) => latest,
            };
            if expiry <= now {
                return;
            }
            time::sleep_until(expiry.min(now + self.idle)).await;
        }
    }
}

/// Changes an age by up to a tenth, so that callers that connected together do not reconnect together.
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
