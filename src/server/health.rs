//! Whether the house is well: what its health checks last said, and whether its store last answered.

use std::sync::atomic::{AtomicBool, Ordering};

/// The last of what was said and seen. Nothing, before the first look.
#[derive(Debug, Default)]
pub(super) struct HealthState {
    serving: AtomicBool,
    store_up: AtomicBool,
}

impl HealthState {
    /// Whether health says SERVING.
    pub(super) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }

    /// Whether the store answered when it was last asked.
    pub(super) fn is_store_up(&self) -> bool {
        self.store_up.load(Ordering::Relaxed)
    }

    pub(super) fn say_serving(&self, serving: bool) {
        self.serving.store(serving, Ordering::Relaxed);
    }

    pub(super) fn see_store(&self, up: bool) {
        self.store_up.store(up, Ordering::Relaxed);
    }
}
