//! The budget for large requests: how many bytes of them may be received and handled at once.
//!
//! A gRPC message begins with its length, so a message that does not fit is rejected before its bytes are buffered.
//! Small messages are not counted, because the number of calls limits them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::grpc::Rejection;
use crate::server::Settings;

/// The bytes that the large requests of one server may use. Clones are the same budget.
#[derive(Clone, Debug)]
pub(in crate::server) struct RequestBudget {
    max_bytes: usize,
    free_bytes: Arc<Semaphore>,
}

impl RequestBudget {
    pub(in crate::server) fn new(settings: &Settings) -> Self {
        let max_bytes = settings.request_budget_bytes;
        Self { max_bytes, free_bytes: Arc::new(Semaphore::new(max_bytes)) }
    }

    /// Returns how many bytes are in use.
    pub(in crate::server) fn used_bytes(&self) -> usize {
        self.max_bytes - self.free_bytes.available_permits()
    }

    /// Takes bytes of the budget until the permit is dropped.
    pub(in crate::server) fn take(&self, bytes: u32) -> Result<OwnedSemaphorePermit, Rejection> {
        Arc::clone(&self.free_bytes).try_acquire_many_owned(bytes).map_err(|_| Rejection::BudgetExhausted)
    }
}

impl Default for RequestBudget {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}
