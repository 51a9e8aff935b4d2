//! Metrics: cheap counters and histograms, and Prometheus' text format.
//!
//! There is no registry: each module has its own counters, and the metrics page reads them all. The official client
//! library is not used, because it writes only OpenMetrics, which promtool's linter cannot read, and because its
//! histograms take a lock.

mod histogram;
mod process;
mod striped;
mod text;

pub use histogram::{Histogram, HistogramSnapshot};
pub use process::process;
pub use striped::Striped;
pub use text::{MetricKind, MetricsText};
