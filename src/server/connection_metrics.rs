//! The counters of a server's connections and streams.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::metrics::Striped;

/// The counters of one server's connections and streams.
#[derive(Debug, Default)]
pub(in crate::server) struct ConnectionMetrics {
    accepted: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
    failed_handshakes: AtomicU64,
    /// By [`Cut`].
    cut: [AtomicU64; Cut::ALL.len()],
    /// One thread may open a stream and another may close it, so only the sum over all threads is meaningful.
    streams: Striped<AtomicU64>,
}

/// Why the server ended a connection that its peer would have kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Cut {
    /// No call was answered on it, and a newer connection needed its place.
    Replaced,
    /// It held the most memory for the longest time, and all together held too much.
    Memory,
    /// A response was not read in time.
    SendTimeout,
    /// It sent too many frames that no call explains.
    Frames,
    /// It broke the protocol.
    Protocol,
}

impl Cut {
    pub(in crate::server) const ALL: [Self; 5] =
        [Self::Replaced, Self::Memory, Self::SendTimeout, Self::Frames, Self::Protocol];

    /// Returns the name for metrics.
    pub(in crate::server) const fn as_str(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Memory => "memory",
            Self::SendTimeout => "send_timeout",
            Self::Frames => "frames",
            Self::Protocol => "protocol",
        }
    }
}

impl ConnectionMetrics {
    /// Connections within the limits.
    pub(in crate::server) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections above the limits.
    pub(in crate::server) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections whose TLS handshake failed.
    pub(in crate::server) fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.load(Ordering::Relaxed)
    }

    /// Connections that the server ended for this reason.
    pub(in crate::server) fn cuts(&self, reason: Cut) -> u64 {
        self.cut[reason as usize].load(Ordering::Relaxed)
    }

    /// Open connections.
    pub(in crate::server) fn connections(&self) -> u64 {
        // Loaded in this order, so that a connection that opens and closes in between does not make the sum negative.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted.load(Ordering::Acquire).saturating_sub(closed)
    }

    /// Calls whose response has not ended.
    pub(in crate::server) fn streams(&self) -> u64 {
        self.streams.sum(|open| open.load(Ordering::Relaxed))
    }

    pub(in crate::server) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Release);
    }

    pub(in crate::server) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::server) fn close(&self) {
        self.closed.fetch_add(1, Ordering::Release);
    }

    pub(in crate::server) fn cut(&self, reason: Cut) {
        self.cut[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::server) fn fail_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::server) fn open_stream(&self) {
        self.streams.local().fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::server) fn close_stream(&self) {
        self.streams.local().fetch_sub(1, Ordering::Relaxed);
    }
}
