//! Exemplars: for each bucket of a histogram, the trace of the last sampled call that was counted in it.
//!
//! Only sampled calls pay for the lock.

use parking_lot::Mutex;

use super::histogram::{BUCKETS, bucket};

/// A sampled call, as an example of what a bucket of a histogram counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub trace_id: u128,
    pub span_id: u64,
    /// The duration in nanoseconds.
    pub nanos: u64,
    /// When it was measured, in nanoseconds since 1970.
    pub time: u64,
}

/// The last exemplar of each bucket of one histogram.
#[derive(Debug, Default)]
pub struct Exemplars(Mutex<[Option<Exemplar>; BUCKETS]>);

impl Exemplars {
    /// Notes a sampled call, and forgets the one before in its bucket.
    pub fn note(&self, exemplar: Exemplar) {
        self.0.lock()[bucket(exemplar.nanos)] = Some(exemplar);
    }

    /// Returns the exemplar of each bucket, the lowest bucket first.
    pub fn read(&self) -> [Option<Exemplar>; BUCKETS] {
        *self.0.lock()
    }
}

impl Exemplar {
    /// Returns the duration in seconds.
    #[expect(clippy::cast_precision_loss, reason = "104 days are still exact to the nanosecond")]
    pub fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }
}
