//! The limit on TLS handshakes at the same time. Above it the oldest one is aborted.
//!
//! An honest handshake takes milliseconds, so the oldest of many is most likely one that its peer does not finish.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The running handshakes of one listener.
#[derive(Debug)]
pub(super) struct HandshakeLimit {
    max: usize,
    running: Mutex<RunningHandshakes>,
}

#[derive(Debug, Default)]
struct RunningHandshakes {
    next_number: u64,
    by_age: BTreeMap<u64, Arc<Notify>>,
}

impl HandshakeLimit {
    pub(super) fn new(max: usize) -> Self {
        Self { max, running: Mutex::default() }
    }

    /// Starts a handshake, which runs until the result is dropped. Aborts the oldest one if there are too many.
    pub(super) fn start(&self) -> HandshakePermit<'_> {
        let aborted = Arc::new(Notify::new());
        let mut running = self.running.lock();
        let number = running.next_number;
        running.next_number += 1;
        running.by_age.insert(number, Arc::clone(&aborted));
        if running.by_age.len() > self.max
            && let Some((_, oldest)) = running.by_age.pop_first()
        {
            oldest.notify_one();
        }
        HandshakePermit { limit: self, number, aborted }
    }
}

/// A running handshake.
#[derive(Debug)]
pub(super) struct HandshakePermit<'l> {
    limit: &'l HandshakeLimit,
    number: u64,
    aborted: Arc<Notify>,
}

impl HandshakePermit<'_> {
    /// Waits until the handshake has to make room for a newer one.
    pub(super) async fn aborted(&self) {
        self.aborted.notified().await;
    }
}

impl Drop for HandshakePermit<'_> {
    fn drop(&mut self) {
        self.limit.running.lock().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn is_aborted(handshake: &HandshakePermit<'_>) -> bool {
        timeout(Duration::ZERO, handshake.aborted()).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_handshake_is_aborted_above_the_limit() {
        let limit = HandshakeLimit::new(2);
        let (first, second) = (limit.start(), limit.start());
        assert!(!is_aborted(&first).await);

        let third = limit.start();

        assert!(is_aborted(&first).await);
        assert!(!is_aborted(&second).await);
        drop(third);
        let _fourth = limit.start();
        assert!(!is_aborted(&second).await);
    }

    #[tokio::test]
    async fn an_ended_handshake_is_removed() {
        let limit = HandshakeLimit::new(2);

        for _ in 0..100 {
            limit.start();
        }

        assert!(limit.running.lock().by_age.is_empty());
    }
}
