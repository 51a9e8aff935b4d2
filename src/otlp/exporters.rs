//! The exports of this process: of spans, of metrics, of both or of none.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::metric_exporter::{MetricExportCounts, MetricExporter};
use super::resource::resource;
use super::span_exporter::SpanExporter;
use super::{MetricsSettings, TracesSettings};
use crate::telemetry::metrics::MetricsWriter;
use crate::telemetry::spans::Tracer;
use crate::types::{Clock, SettingError};

/// Exports spans and metrics of this process, both of the same resource.
#[derive(Debug)]
pub struct Exporters {
    spans: Option<SpanExporter>,
    metrics: Option<MetricExporter>,
}

impl Exporters {
    /// Creates what these settings ask for, and the tracer. Without a collector of spans the tracer begins none.
    ///
    /// Reads the files and checks them. They connect at their first export, and read them again for each connection.
    pub fn open(
        traces: &TracesSettings,
        metrics: &MetricsSettings,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Tracer, Self), SettingError> {
        let resource = resource(&traces.service_name);
        let (tracer, spans) = SpanExporter::open(traces, &resource, clock).map_err(|error| error.under("traces"))?;
        let metrics = MetricExporter::open(metrics, &resource, clock).map_err(|error| error.under("metrics"))?;
        Ok((tracer, Self { spans, metrics }))
    }

    /// Returns how many exports of metrics there were.
    pub fn metric_export_counts(&self) -> Arc<MetricExportCounts> {
        self.metrics.as_ref().map(|exporter| Arc::clone(exporter.counts())).unwrap_or_default()
    }

    /// Exports until `stop`, then what is left, for two seconds at most. `metrics` writes all metrics.
    pub async fn run(self, metrics: impl Fn(&mut dyn MetricsWriter) + Send + Sync, stop: CancellationToken) {
        let spans = async {
            if let Some(exporter) = self.spans {
                exporter.run(stop.clone()).await;
            }
        };
        let metrics = async {
            if let Some(exporter) = self.metrics {
                exporter.run(&metrics, stop.clone()).await;
            }
        };
        tokio::join!(spans, metrics);
    }
}
