//! Metrics: how they are counted, cheaply, and how they are written, in Prometheus' text format.
//!
//! No registry: who counts something keeps the numbers, and the page that is read puts them together. The official
//! client writes OpenMetrics alone, which promtool's linter does not read, and its histograms take a lock.

mod histogram;
mod process;
mod striped;
mod text;

pub use histogram::{Histogram, HistogramSnapshot};
pub use process::process;
pub use striped::Striped;
pub use text::{MetricKind, MetricsText};
