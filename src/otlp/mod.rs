//! Sends spans and metrics to a collector by OTLP, the protocol of OpenTelemetry, over gRPC.
//!
//! The library for this, opentelemetry-otlp, is not used: it and its SDK read a dozen variables of the environment, do
//! not say how many spans they drop, and are 16 packages more. What the service needs is a dozen messages and two calls.
//! The tests receive them with the messages of that library.

mod client;
mod collector;
mod collector_settings;
mod export_failure;
mod exporters;
mod headers;
mod messages;
mod metric_exporter;
mod metric_messages;
mod metric_request;
mod metrics_settings;
mod resource;
mod span_exporter;
mod span_messages;
mod span_request;
mod traces_settings;

pub use exporters::Exporters;
pub use metric_exporter::{ExportOutcome, MetricExportCounts};
pub use metrics_settings::MetricsSettings;
pub use traces_settings::TracesSettings;
