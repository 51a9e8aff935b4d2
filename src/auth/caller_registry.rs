//! The callers that are configured now, and a signal when they change.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::Callers;

/// The callers of a service. Clones are the same registry.
#[derive(Clone, Debug, Default)]
pub struct CallerRegistry {
    callers: Arc<ArcSwap<Callers>>,
    changes: watch::Sender<()>,
}

impl CallerRegistry {
    /// Creates a registry of these callers.
    pub fn new(callers: Callers) -> Self {
        Self { callers: Arc::new(ArcSwap::from_pointee(callers)), ..Self::default() }
    }

    /// Returns the callers that are configured now.
    pub fn callers(&self) -> Guard<Arc<Callers>> {
        self.callers.load()
    }

    /// Returns a receiver that is notified after each change of the callers.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Replaces the callers, first for new calls and then for the streams that wait for a change.
    pub fn replace(&self, callers: Callers) {
        self.callers.store(Arc::new(callers));
        self.changes.send_replace(());
    }
}
