//! The entrance: who is let in, and what is shown to whoever comes, which may change while the house is open.

use std::sync::Arc;

use super::caller_registry::CallerRegistry;
use super::tls::Tls;
use crate::clock::Time;
use crate::grpc::Callers;

/// The entrance of a running house. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    pub(super) registry: CallerRegistry,
    pub(super) tls: Vec<Arc<Tls>>,
}

impl Entrance {
    /// From the next call on, these are the callers that are known, on connections that there are too; and streams of
    /// callers that may not go on end.
    pub(super) fn replace_callers(&self, callers: Callers) {
        self.registry.replace(callers);
    }

    /// Looks at the files of TLS at once. What can't be used is refused, and told to the log.
    ///
    /// Reads from disk.
    pub(super) fn refresh_certificates(&self, now: Time) {
        self.tls.iter().for_each(|tls| tls.refresh(now));
    }
}
