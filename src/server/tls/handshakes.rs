//! Handshakes that are under way, bounded in number: when there are too many, the oldest makes room.
//!
//! An honest handshake takes milliseconds, so the oldest of many is one that nobody means to finish.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The handshakes of one listener.
#[derive(Debug)]
pub(crate) struct Handshakes {
    most: usize,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    by_age: BTreeMap<u64, Arc<Notify>>,
}

impl Handshakes {
    /// At most so many at once.
    pub(crate) fn at_most(most: usize) -> Self {
        Self { most, running: Mutex::default() }
    }

    /// One more, which is under way until the answer is dropped.
    pub(crate) fn begin(&self) -> Handshake<'_> {
        let crowded_out = Arc::new(Notify::new());
        let mut running = self.running.lock();
        let number = running.next;
        running.next += 1;
        running.by_age.insert(number, Arc::clone(&crowded_out));
        if running.by_age.len() > self.most
            && let Some((_, oldest)) = running.by_age.pop_first()
        {
            oldest.notify_one();
        }
        Handshake { all: self, number, crowded_out }
    }
}

/// One handshake that is under way.
#[derive(Debug)]
pub(crate) struct Handshake<'h> {
    all: &'h Handshakes,
    number: u64,
    crowded_out: Arc<Notify>,
}

impl Handshake<'_> {
    /// Answers when it has to make room.
    pub(crate) async fn crowded_out(&self) {
        self.crowded_out.notified().await;
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.all.running.lock().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn is_crowded_out(handshake: &Handshake<'_>) -> bool {
        timeout(Duration::ZERO, handshake.crowded_out()).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let all = Handshakes::at_most(2);
        let (first, second) = (all.begin(), all.begin());
        assert!(!is_crowded_out(&first).await);

        let third = all.begin();

        assert!(is_crowded_out(&first).await);
        assert!(!is_crowded_out(&second).await);
        drop(third);
        let _fourth = all.begin();
        assert!(!is_crowded_out(&second).await);
    }

    #[tokio::test]
    async fn one_that_is_over_leaves_nothing_behind() {
        let all = Handshakes::at_most(2);

        for _ in 0..100 {
            all.begin();
        }

        assert!(all.running.lock().by_age.is_empty());
    }
}
