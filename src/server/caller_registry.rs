//! The register: which callers are known at the moment, and word when that changes.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::grpc::Callers;

/// The callers of a house. Clones are the same register.
#[derive(Clone, Debug, Default)]
pub(super) struct CallerRegistry {
    callers: Arc<ArcSwap<Callers>>,
    changes: watch::Sender<()>,
}

impl CallerRegistry {
    /// A register of these callers.
    pub(super) fn of(callers: Callers) -> Self {
        Self { callers: Arc::new(ArcSwap::from_pointee(callers)), ..Self::default() }
    }

    /// The callers that are known now.
    pub(super) fn callers(&self) -> Guard<Arc<Callers>> {
        self.callers.load()
    }

    /// Changes when the callers do.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// These are the callers from now on: first for whoever asks, then for whoever waits.
    pub(super) fn replace(&self, callers: Callers) {
        self.callers.store(Arc::new(callers));
        self.changes.send_replace(());
    }
}
