//! How many HTTP/2 frames a peer may send besides DATA: as many as its calls explain, and a few more.
//!
//! A frame costs the server time even if no call comes of it: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, resets, and
//! calls that are refused or never whole. Each whole call allows the frames that clients send around a call, and each
//! second allows some that have nothing to do with calls.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The frames that a peer may send now.
#[derive(Debug)]
pub(in crate::server) struct FrameCredit {
    // One thread serves a connection, so these are atomic only to be shared, and nothing waits for them.
    frames: AtomicI64,
    last_refill: Mutex<Instant>,
    /// The frames that were read since the connection was polled.
    in_turn: AtomicU32,
}

impl Default for FrameCredit {
    fn default() -> Self {
        Self { frames: AtomicI64::new(BURST), last_refill: Mutex::new(Instant::now()), in_turn: AtomicU32::default() }
    }
}

impl FrameCredit {
    /// Allows the frames that clients send around a call.
    pub(in crate::server) fn add_for_call(&self) {
        self.add(FOR_A_CALL);
    }

    /// Allows the frames that clients send because they received so many bytes.
    pub(in crate::server) fn add_for_response(&self, bytes: usize) {
        self.add(i64::try_from(bytes / BYTES_OF_A_FRAME).unwrap_or(MAX));
    }

    fn add(&self, frames: i64) {
        let sum = self.frames.load(Ordering::Relaxed).saturating_add(frames);
        self.frames.store(sum.min(MAX), Ordering::Relaxed);
    }

    /// Takes the cost of frames that were read. Returns whether the peer may go on.
    pub(in crate::server) fn take(&self, frames: u32) -> bool {
        let left = self.frames.load(Ordering::Relaxed) - i64::from(frames);
        self.frames.store(left, Ordering::Relaxed);
        left >= 0 || self.refill(left, Instant::now())
    }

    /// Adds the frames that the time since the last refill allows.
    fn refill(&self, left: i64, now: Instant) -> bool {
        let mut last_refill = self.last_refill.lock();
        let millis = now.saturating_duration_since(*last_refill).as_millis();
        let earned = i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(FRAMES_A_SECOND) / 1000;
        let refilled = left + earned.min(BURST);
        *last_refill = now;
        self.frames.store(refilled, Ordering::Relaxed);
        refilled >= 0
    }

    /// Begins a turn: the next frames are the first since the connection was polled.
    pub(in crate::server) fn begin_turn(&self) {
        self.in_turn.store(0, Ordering::Relaxed);
    }

    /// Counts frames of any kind. They were read already, so the turn may get longer than it should.
    pub(in crate::server) fn count_in_turn(&self, frames: u32) {
        self.in_turn.store(self.in_turn.load(Ordering::Relaxed) + frames, Ordering::Relaxed);
    }

    /// Whether other connections have to get their turn before more is read. `is_used`: a call was answered before.
    pub(in crate::server) fn is_turn_over(&self, is_used: bool) -> bool {
        self.in_turn.load(Ordering::Relaxed) >= if is_used { FRAMES_IN_A_TURN } else { FRAMES_IN_A_FIRST_TURN }
    }
}

/// The frames that a new connection may send at once, and the most that the time allows: all streams of a connection
/// are begun before the first call is whole.
const BURST: i64 = 600;

/// More credit is not saved up.
const MAX: i64 = 20_000;

const FRAMES_A_SECOND: i64 = 200;

/// A client sends HEADERS, and perhaps PING for its estimates, WINDOW_UPDATE, and RST_STREAM.
const FOR_A_CALL: i64 = 16;

/// Some clients send two WINDOW_UPDATE for every few KiB that they receive.
const BYTES_OF_A_FRAME: usize = 512;

/// After so many frames another connection is served: after thirty calls, half a millisecond of work.
const FRAMES_IN_A_TURN: u32 = 64;

/// The same on a connection without an answered call: there may be many of them, and all may begin at once.
const FRAMES_IN_A_FIRST_TURN: u32 = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn frames_without_calls_are_limited_to_a_burst_and_a_rate() {
        let credit = FrameCredit::default();
        let start = Instant::now();
        *credit.last_refill.lock() = start;

        credit.frames.store(-1, Ordering::Relaxed);

        assert!(!credit.refill(-1, start));
        assert!(credit.refill(-100, start + Duration::from_secs(1)));
        assert_eq!(credit.frames.load(Ordering::Relaxed), 100);
        assert!(credit.refill(-1, start + Duration::from_secs(3600)));
        assert_eq!(credit.frames.load(Ordering::Relaxed), BURST - 1);
    }

    #[test]
    fn a_caller_that_makes_whole_calls_never_uses_up_its_credit() {
        let credit = FrameCredit::default();

        for _ in 0..100_000 {
            assert!(credit.take(8));
            credit.add_for_call();
            assert!(credit.take(256));
            credit.add_for_response(128 * 1024);
        }
    }
}
