//! The export of metrics: all of them at once, again and again, and for a last time at a stop.
//!
//! An export that fails is not repeated: the next one has all that it had, because counters are never reset.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::MetricsSettings;
use super::client::{Client, flush_over};
use super::export_failure::ExportFailure;
use super::messages::Resource;
use super::metric_messages::ExportMetricsServiceResponse;
use super::metric_request::MetricRequests;
use crate::telemetry::metrics::MetricsWriter;
use crate::types::{Clock, SettingError, with_causes};

/// Exports the metrics of this process.
#[derive(Debug)]
pub(super) struct MetricExporter {
    client: Client,
    interval: Duration,
    resource: Resource,
    clock: Arc<dyn Clock>,
    /// Since when counters count, in nanoseconds since 1970.
    start: u64,
    counts: Arc<MetricExportCounts>,
    /// How the last export ended, as the log says it. It says it again only when that changes.
    last: Option<String>,
}

/// How many exports of metrics there were.
#[derive(Debug, Default)]
pub struct MetricExportCounts([AtomicU64; ExportOutcome::ALL.len()]);

/// How an export of metrics ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportOutcome {
    Successful,
    /// The collector took the requests, but not all of their data points.
    Partial,
    /// The collector was silent, refused a request or could not be reached.
    Failed,
}

impl MetricExporter {
    /// Creates the exporter. `None`: there is no collector.
    pub(super) fn open(
        settings: &MetricsSettings,
        resource: &Resource,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, SettingError> {
        settings.check()?;
        let Some(client) = Client::open(settings.collector())? else { return Ok(None) };
        Ok(Some(Self {
            client,
            interval: settings.interval,
            resource: resource.clone(),
            clock: Arc::clone(clock),
            start: clock.nanoseconds(),
            counts: Arc::default(),
            last: None,
        }))
    }

    pub(super) const fn counts(&self) -> &Arc<MetricExportCounts> {
        &self.counts
    }

    /// Exports until `stop`, and then once more, for two seconds at most.
    pub(super) async fn run(mut self, metrics: &impl Fn(&mut dyn MetricsWriter), stop: CancellationToken) {
        let (endpoint, interval_s) = (self.client.endpoint(), self.interval.as_secs_f64());
        info!(endpoint, interval_s, "metrics are exported");
        self.client.warn_of_exposed_headers();
        let last = tokio::select! {
            last = self.export_all(metrics, &stop) => last,
            () = flush_over(&stop) => {
                self.counts.count(ExportOutcome::Failed);
                ExportOutcome::Failed
            }
        };
        if last == ExportOutcome::Failed {
            warn!("the service stops before the collector of metrics has taken the last ones");
        }
    }

    /// Exports until `stop`, and then once more. Returns how that export ended.
    async fn export_all(
        &mut self,
        metrics: &impl Fn(&mut dyn MetricsWriter),
        stop: &CancellationToken,
    ) -> ExportOutcome {
        let mut due = interval_at(Instant::now() + self.interval, self.interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(due.tick()).await.is_some() {
            let exported = self.export(metrics).await;
            self.log_change(&exported);
        }
        outcome_of(&self.export(metrics).await)
    }

    /// Exports all metrics once. Returns how many data points the collector rejected.
    async fn export(&mut self, metrics: &impl Fn(&mut dyn MetricsWriter)) -> Result<u64, ExportFailure> {
        let exported = self.try_export(metrics).await;
        self.counts.count(outcome_of(&exported));
        self.client.disconnect();
        exported
    }

    /// Logs how an export ended, if the one before ended in another way or for another reason.
    fn log_change(&mut self, exported: &Result<u64, ExportFailure>) {
        let ended = match exported {
            Ok(0) => None,
            Ok(_) => Some("rejected".to_owned()),
            Err(failure) => Some(with_causes(failure)),
        };
        if self.last == ended {
            return;
        }
        match exported {
            Ok(0) => info!("the collector takes metrics again"),
            Ok(rejected) => warn!(points = rejected, "the collector rejects a part of the metrics"),
            Err(failure) => {
                warn!(error = failure as &dyn Error, "metrics cannot be exported; they wait for the next export");
            }
        }
        self.last = ended;
    }

    /// Exports all metrics once. Returns how many data points the collector rejected.
    async fn try_export(&mut self, metrics: &impl Fn(&mut dyn MetricsWriter)) -> Result<u64, ExportFailure> {
        // The clock may have been set back.
        let now = self.clock.nanoseconds().max(self.start);
        let mut requests = MetricRequests::new(self.start, now);
        metrics(&mut requests);
        let responses: Vec<ExportMetricsServiceResponse> =
            self.client.export(EXPORT, requests.finish(&self.resource)).await?;
        let rejected = responses.into_iter().filter_map(|response| response.partial_success);
        let counts = rejected.map(|partial| u64::try_from(partial.rejected_data_points).unwrap_or(0));
        Ok(counts.fold(0, u64::saturating_add))
    }
}

const fn outcome_of(exported: &Result<u64, ExportFailure>) -> ExportOutcome {
    match exported {
        Ok(0) => ExportOutcome::Successful,
        Ok(_) => ExportOutcome::Partial,
        Err(_) => ExportOutcome::Failed,
    }
}

impl MetricExportCounts {
    fn count(&self, outcome: ExportOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many exports ended so.
    pub fn count_of(&self, outcome: ExportOutcome) -> u64 {
        self.0[outcome as usize].load(Ordering::Relaxed)
    }
}

impl ExportOutcome {
    /// All values, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Successful, Self::Partial, Self::Failed];

    /// The value of the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Successful => "successful",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

const EXPORT: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_at_the_index_of_its_value() {
        for (index, outcome) in ExportOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}
