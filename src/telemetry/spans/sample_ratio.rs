//! How many of the calls that begin a trace are recorded.

use serde::{Deserialize, Serialize};

/// A share of calls, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct SampleRatio(f64);

impl SampleRatio {
    /// Decides for one call by a number that only it has. `number` is not called if the ratio is 0.
    pub(super) fn includes(self, number: impl FnOnce() -> u64) -> bool {
        self.0 > 0.0 && (self.0 >= 1.0 || (number() as f64) < self.0 * NUMBERS)
    }
}

impl TryFrom<f64> for SampleRatio {
    type Error = SampleRatioError;

    fn try_from(ratio: f64) -> Result<Self, SampleRatioError> {
        if (0.0..=1.0).contains(&ratio) { Ok(Self(ratio)) } else { Err(SampleRatioError(ratio)) }
    }
}

impl From<SampleRatio> for f64 {
    fn from(ratio: SampleRatio) -> Self {
        ratio.0
    }
}

/// The number is no share.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not between 0 and 1; 0.01 is one call of a hundred")]
pub struct SampleRatioError(f64);

/// How many numbers a `u64` can be. The largest of them are rounded to it, so a ratio of 1 is no comparison.
const NUMBERS: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::unique_number::unique_number;

    fn included(ratio: f64) -> usize {
        let ratio = SampleRatio::try_from(ratio).unwrap();
        (0..10_000).filter(|_| ratio.includes(unique_number)).count()
    }

    #[test]
    fn a_ratio_includes_its_share_of_calls() {
        assert_eq!((included(0.0), included(1.0)), (0, 10_000));
        for (ratio, expected) in [(0.01, 100), (0.25, 2500), (0.5, 5000)] {
            assert!(included(ratio).abs_diff(expected) < 20, "{ratio}: {}", included(ratio));
        }
        assert!(SampleRatio(1.0).includes(|| u64::MAX));
    }

    #[test]
    fn no_other_number_is_a_ratio() {
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(SampleRatio::try_from(wrong).is_err(), "{wrong}");
        }
    }
}
