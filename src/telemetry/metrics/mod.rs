//! Metrics: cheap counters and histograms, and the text formats of Prometheus.
//!
//! There is no registry: each module has its own counters, and the server reads them all. The official
//! client library is not used, because it writes only OpenMetrics, which promtool's linter cannot read, and because its
//! histograms take a lock.

mod exemplars;
mod histogram;
mod process;
mod striped;
mod text;
mod writer;

pub use exemplars::{Exemplar, Exemplars};
pub use histogram::{Histogram, HistogramSnapshot};
pub use process::process;
pub use striped::Striped;
pub use text::{MetricsText, TextFormat};
pub use writer::{Label, MetricKind, MetricsWriter};
