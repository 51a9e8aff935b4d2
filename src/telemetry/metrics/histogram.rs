//! How long things take: a histogram with fixed bounds, of plain atomics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Striped;

/// Durations, counted by the bound that they are within.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what is above all of them.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// A histogram, read.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSnapshot {
    /// How many were within each bound, in seconds, and so within all higher ones.
    pub within: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// What they come to, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What the copies of a histogram, which `of` finds, come to.
    pub fn read<T>(copies: &Striped<T>, of: impl Fn(&T) -> &Self) -> HistogramSnapshot {
        let bucket = |number: usize| copies.sum(|copy| of(copy).buckets[number].load(Ordering::Relaxed));
        let mut count = 0;
        let within = BOUNDS.iter().enumerate().map(|(number, bound)| {
            count += bucket(number);
            (seconds(*bound), count)
        });
        let within = within.collect();
        count += bucket(BOUNDS.len());
        HistogramSnapshot { within, count, sum: seconds(copies.sum(|copy| of(copy).nanos.load(Ordering::Relaxed))) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sum of 104 days is still exact to the nanosecond")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

const MICROS: u64 = 1000;
const MILLIS: u64 = 1000 * MICROS;

/// In nanoseconds. From a call that needs no store to one that runs into its deadline of 5 s.
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
    fn a_duration_counts_within_its_bound_and_all_higher_ones() {
        let histogram = Striped::<Histogram>::default();

        for micros in [50, 51, 2500, 9_000_000] {
            histogram.mine().observe(Duration::from_micros(micros));
        }

        let times = Histogram::read(&histogram, |copy| copy);
        let within = |bound: f64| times.within.iter().find(|(at, _)| *at == bound).map(|(_, count)| *count);
        assert_eq!(
            [within(0.000_05), within(0.0001), within(0.0025), within(5.0)],
            [Some(1), Some(2), Some(3), Some(3)]
        );
        assert_eq!(times.count, 4);
        assert!((times.sum - 9.002_601).abs() < 1e-9, "{times:?}");
    }
}
