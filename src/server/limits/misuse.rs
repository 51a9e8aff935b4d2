//! How much a peer has misused its connections lately, and how long its next one waits for that.
//!
//! A connection that breaks the protocol counts much, one that ends without an answered call counts little. What honest
//! peers do now and then is free: a load balancer that only connects, a client that cancels its call. A flood of such
//! connections is slowed down, so that it costs no more than it is let through. Nothing is refused, because honest
//! callers may share the address.

use std::time::Duration;

use tokio::time::Instant;

/// The misuse of one peer, in points that decrease with time.
#[derive(Debug, Default)]
pub(super) struct Misuse {
    points: f64,
    /// When `points` were right. `None`: there never were any.
    time: Option<Instant>,
}

impl Misuse {
    /// Counts a connection that ended without an answered call.
    pub(super) fn add_unused(&mut self, now: Instant) {
        self.add(now, 1.0);
    }

    /// Counts a connection that broke the protocol.
    pub(super) fn add_violation(&mut self, now: Instant) {
        self.add(now, VIOLATION);
    }

    /// Returns how long a new connection of the peer has to wait.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let above = (self.points(now) - FREE).max(0.0);
        DELAY_OF_A_POINT.mul_f64(above)
    }

    /// Whether nothing of it is left.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.points(now) <= 0.0
    }

    fn add(&mut self, now: Instant, points: f64) {
        self.points = (self.points(now) + points).min(MAX);
        self.time = Some(now);
    }

    fn points(&self, now: Instant) -> f64 {
        let Some(time) = self.time else { return 0.0 };
        (self.points - now.saturating_duration_since(time).as_secs_f64() * FADE).max(0.0)
    }
}

/// The points of a connection that broke the protocol, where an unused one has 1.
const VIOLATION: f64 = 10.0;

/// How many points delay nothing.
const FREE: f64 = 100.0;

/// How many points fade in a second.
const FADE: f64 = 20.0;

/// More points are not remembered, so the longest delay is 2 s, and a peer is free again after 25 s.
const MAX: f64 = 500.0;
const DELAY_OF_A_POINT: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_honest_peers_do_now_and_then_delays_nothing() {
        let (mut misuse, start) = (Misuse::default(), Instant::now());

        for second in 0..1000 {
            let now = start + Duration::from_secs(second);
            (0..10).for_each(|_| misuse.add_unused(now));
            misuse.add_violation(now);
            assert_eq!(misuse.delay(now), Duration::ZERO, "{second}");
        }
    }

    #[test]
    fn a_flood_is_delayed_by_two_seconds_at_most_and_then_forgotten() {
        let (mut misuse, start) = (Misuse::default(), Instant::now());

        (0..10_000).for_each(|_| misuse.add_violation(start));

        assert_eq!(misuse.delay(start), Duration::from_secs(2));
        assert_eq!(misuse.delay(start + Duration::from_secs(20)), Duration::ZERO);
        assert!(!misuse.is_forgotten(start + Duration::from_secs(20)));
        assert!(misuse.is_forgotten(start + Duration::from_secs(25)));
    }
}
