//! A histogram of durations with fixed bounds, made of atomics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Exemplar, Striped};

/// Counts durations by the lowest bound that is not below them.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for durations above the highest.
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

/// The numbers of a histogram at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSnapshot {
    /// Each bound in seconds, with the number of durations that are not above it.
    pub buckets: Vec<(f64, u64)>,
    /// The number of all durations.
    pub count: u64,
    /// The sum of all durations, in seconds.
    pub sum: f64,
    /// The exemplar of each bucket, and of the durations above all bounds. Empty: the histogram has none.
    pub exemplars: Vec<Option<Exemplar>>,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Adds up all copies of a histogram. `histogram` finds it in a copy.
    pub fn read<T>(copies: &Striped<T>, histogram: impl Fn(&T) -> &Self) -> HistogramSnapshot {
        let bucket = |number: usize| copies.sum(|copy| histogram(copy).buckets[number].load(Ordering::Relaxed));
        let mut count = 0;
        let buckets = BOUNDS.iter().enumerate().map(|(number, bound)| {
            count += bucket(number);
            (seconds(*bound), count)
        });
        let buckets = buckets.collect();
        count += bucket(BOUNDS.len());
        let sum = copies.sum(|copy| histogram(copy).sum_nanos.load(Ordering::Relaxed));
        HistogramSnapshot { buckets, count, sum: seconds(sum), exemplars: Vec::new() }
    }
}

/// Returns the index of the bucket that counts a duration.
pub(super) fn bucket(nanos: u64) -> usize {
    BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len())
}

#[expect(clippy::cast_precision_loss, reason = "a sum of 104 days is still exact to the nanosecond")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// One for each bound, and one for durations above the highest.
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

const MICROS: u64 = 1000;
const MILLIS: u64 = 1000 * MICROS;

/// Upper bounds in nanoseconds, from a call without the store to one that reaches the deadline of 5 s.
const BOUNDS: [u64; 16] = [
    50 * MICROS,
    100 * MICROS,
    250 * MICROS,
    500 * MICROS,
    MILLIS,
    2 * MILLIS + 500 * MICROS,
    5 * MILLIS,
    10 * MILLIS,
    25 * MILLIS,
    50 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    1000 * MILLIS,
    2500 * MILLIS,
    5000 * MILLIS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_its_bucket_and_all_higher_ones() {
        let histogram = Striped::<Histogram>::default();

        for micros in [50, 51, 2500, 9_000_000] {
            histogram.local().observe(Duration::from_micros(micros));
        }

        let snapshot = Histogram::read(&histogram, |copy| copy);
        let count = |bound: f64| snapshot.buckets.iter().find(|(upper, _)| *upper == bound).map(|(_, count)| *count);
        assert_eq!([count(0.000_05), count(0.0001), count(0.0025), count(5.0)], [Some(1), Some(2), Some(3), Some(3)]);
        assert_eq!(snapshot.count, 4);
        assert!((snapshot.sum - 9.002_601).abs() < 1e-9, "{snapshot:?}");
    }
}
