//! What comes in at one server: its connections and streams, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::metrics::Striped;

/// The counts of one server.
#[derive(Debug, Default)]
pub(crate) struct ConnectionMetrics {
    accepted: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
    failed_handshakes: AtomicU64,
    /// Those that one thread opens and another one closes take each other away only in the sum.
    streams: Striped<AtomicU64>,
}

impl ConnectionMetrics {
    /// Connections that were let in.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that were one too many.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections that never began, because their TLS handshake failed.
    pub(crate) fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.load(Ordering::Relaxed)
    }

    /// Open connections.
    pub(crate) fn connections(&self) -> u64 {
        // In this order, so that one that comes in between is not taken away before it is added.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted.load(Ordering::Acquire).saturating_sub(closed)
    }

    /// Calls whose answer is not over.
    pub(crate) fn streams(&self) -> u64 {
        self.streams.sum(|open| open.load(Ordering::Relaxed))
    }

    pub(crate) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        self.closed.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn fail_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn open_stream(&self) {
        self.streams.local().fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn close_stream(&self) {
        self.streams.local().fetch_sub(1, Ordering::Relaxed);
    }
}
