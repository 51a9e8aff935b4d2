//! The destinations of the metrics of the process: a page for Prometheus, or the requests of an export.

use super::HistogramSnapshot;

/// Takes metrics, family by family. All samples of a family follow it, before the next family.
pub trait MetricsWriter {
    /// Starts a family.
    fn family(&mut self, name: &'static str, kind: MetricKind, help: &'static str) -> &mut dyn MetricsWriter;

    /// Writes an integer.
    fn sample(&mut self, labels: &[Label<'_>], value: u64) -> &mut dyn MetricsWriter;

    /// Writes a number of seconds.
    fn seconds(&mut self, labels: &[Label<'_>], value: f64) -> &mut dyn MetricsWriter;

    /// Writes a histogram.
    fn histogram(&mut self, label: Label<'_>, histogram: &HistogramSnapshot) -> &mut dyn MetricsWriter;
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only increases.
    Counter,
    /// A number that can also decrease.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A label's name and its value.
pub type Label<'l> = (&'static str, &'l str);
