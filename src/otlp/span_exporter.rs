//! The export of spans: in batches, one at a time, and without end when the collector is down.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::TracesSettings;
use super::client::{Client, flush_over};
use super::export_failure::ExportFailure;
use super::messages::Resource;
use super::span_messages::ExportTraceServiceResponse;
use super::span_request;
use crate::telemetry::spans::{QueuedSpans, SampleRatio, Span, SpanCounts, SpanLoss, Tracer};
use crate::types::{Clock, SettingError};

/// Exports the spans of one tracer.
#[derive(Debug)]
pub(super) struct SpanExporter {
    client: Client,
    sample_ratio: SampleRatio,
    resource: Resource,
    queued: QueuedSpans,
    counts: Arc<SpanCounts>,
    /// The spans that are exported now.
    batch: Vec<Span>,
    state: LogState,
}

/// The state that was logged last.
#[derive(Debug, Default)]
struct LogState {
    is_failing: bool,
    lost: u64,
    /// `None` before the first line about lost spans.
    last_line: Option<Instant>,
}

impl SpanExporter {
    /// Creates the exporter and its tracer. Without a collector there is no exporter, and the tracer begins no spans.
    pub(super) fn open(
        settings: &TracesSettings,
        resource: &Resource,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Tracer, Option<Self>), SettingError> {
        settings.check()?;
        let Some(client) = Client::open(settings.collector())? else { return Ok((Tracer::default(), None)) };
        let (tracer, queued) = Tracer::new(settings.sample_ratio, Arc::clone(clock));
        let counts = Arc::clone(tracer.counts().expect("a new tracer has counts"));
        let exporter = Self {
            client,
            sample_ratio: settings.sample_ratio,
            resource: resource.clone(),
            queued,
            counts,
            batch: Vec::new(),
            state: LogState::default(),
        };
        Ok((tracer, Some(exporter)))
    }

    /// Exports until `stop`, then what is queued, for two seconds at most.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (endpoint, sample_ratio) = (self.client.endpoint(), f64::from(self.sample_ratio));
        info!(endpoint, sample_ratio, "spans of sampled calls are exported");
        self.client.warn_of_exposed_headers();
        tokio::select! {
            () = self.export_all(&stop) => {}
            () = flush_over(&stop) => {}
        }
        let left = self.batch.len() + self.queued.close();
        self.counts.count_lost(SpanLoss::Stopped, left);
        if left > 0 {
            warn!(spans = left, "the service stops before the collector of traces has taken all spans");
        }
    }

    async fn export_all(&mut self, stop: &CancellationToken) {
        loop {
            self.fill_batch(stop).await;
            if self.batch.is_empty() {
                return;
            }
            self.export_batch(stop).await;
            self.batch.clear();
            self.log_lost();
        }
    }

    /// Waits until the batch is full, or until its first span is old enough to be exported.
    ///
    /// After `stop` it waits for nothing. An empty batch is the last one.
    async fn fill_batch(&mut self, stop: &CancellationToken) {
        let mut deadline = None;
        while self.batch.len() < MAX_BATCH {
            let limit = MAX_BATCH - self.batch.len();
            if stop.is_cancelled() {
                return self.queued.take(&mut self.batch, limit);
            }
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.queued.receive(&mut self.batch, limit) => {
                    if received == 0 {
                        return;
                    }
                    deadline.get_or_insert_with(|| Instant::now() + MAX_DELAY);
                }
                () = due => return,
                () = stop.cancelled() => {}
            }
        }
    }

    /// Exports the batch. Repeats what may succeed later, a few times, and not after `stop`.
    async fn export_batch(&mut self, stop: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.try_export().await {
                Ok(rejected) => {
                    self.counts.count_lost(SpanLoss::Rejected, rejected);
                    self.counts.count_exported(self.batch.len() - rejected);
                    if std::mem::take(&mut self.state.is_failing) {
                        info!("the collector takes spans again");
                    }
                    return;
                }
                Err(failure) => failure,
            };
            if !std::mem::replace(&mut self.state.is_failing, true) {
                warn!(error = &failure as &dyn Error, "spans cannot be exported; calls go on without them");
            }
            let may_pass = failure.may_pass();
            if !may_pass || pause > LAST_PAUSE || stop.is_cancelled() {
                self.counts.count_lost(SpanLoss::ExportFailed, self.batch.len());
                if !may_pass {
                    // The next one may fail as well, and would connect at once.
                    sleep_until_stopped(FIRST_PAUSE, stop).await;
                }
                return;
            }
            self.log_lost();
            sleep_until_stopped(pause, stop).await;
            pause *= 2;
        }
    }

    /// Exports the batch once. Returns how many of its spans the collector rejected.
    async fn try_export(&mut self) -> Result<usize, ExportFailure> {
        let request = span_request::request(&self.resource, &self.batch);
        let responses: Vec<ExportTraceServiceResponse> = self.client.export(EXPORT, vec![request]).await?;
        let rejected = responses.into_iter().filter_map(|response| response.partial_success);
        let rejected = rejected.map(|partial| partial.rejected_spans).sum::<i64>();
        Ok(usize::try_from(rejected).unwrap_or(0).min(self.batch.len()))
    }

    /// Logs how many spans were lost, once a minute at most.
    fn log_lost(&mut self) {
        let lost = SpanLoss::ALL.iter().map(|loss| self.counts.lost(*loss)).sum::<u64>();
        let is_due = self.state.last_line.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if lost > self.state.lost && is_due {
            warn!(spans = lost - self.state.lost, "spans were lost; the metrics say why");
            (self.state.lost, self.state.last_line) = (lost, Some(Instant::now()));
        }
    }
}

async fn sleep_until_stopped(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}

const EXPORT: PathAndQuery = PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");

/// The spans of one request.
const MAX_BATCH: usize = 512;

/// How long a span waits for others.
const MAX_DELAY: Duration = Duration::from_secs(1);

// Five attempts within 15 seconds, beside the time that they take.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(8);

const LOG_INTERVAL: Duration = Duration::from_secs(60);
