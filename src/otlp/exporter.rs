//! The export of spans: in batches, one at a time, and without end when the collector is down.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport};
use tracing::{info, warn};

use super::Settings;
use super::collector::{Collector, Connection};
use super::messages::Resource;
use super::request;
use crate::telemetry::spans::{QueuedSpans, Span, SpanCounts, SpanLoss, Tracer};
use crate::types::{Clock, SettingError, random};

/// Exports the spans of one tracer.
pub struct Exporter {
    settings: Settings,
    resource: Resource,
    queued: QueuedSpans,
    counts: Arc<SpanCounts>,
    /// The spans that are exported now.
    batch: Vec<Span>,
    /// `None` before the first export, and after one that failed.
    connection: Option<Connection>,
    state: LogState,
}

/// What the log has been told.
#[derive(Debug, Default)]
struct LogState {
    is_failing: bool,
    lost: u64,
    /// `None` before the first line about lost spans.
    last_line: Option<Instant>,
}

impl Exporter {
    /// Creates the exporter and its tracer. Without a collector there is no exporter, and the tracer begins no spans.
    ///
    /// Reads the files and checks them. It connects at its first export, and reads them again for each connection.
    pub fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<(Tracer, Option<Self>), SettingError> {
        settings.check()?;
        if Collector::open(settings)?.is_none() {
            return Ok((Tracer::default(), None));
        }
        let (tracer, queued) = Tracer::new(settings.sample_ratio, Arc::clone(clock));
        let counts = Arc::clone(tracer.counts().expect("a new tracer has counts"));
        let instance_id = format!("{:032x}", u128::from_be_bytes(random::bytes()));
        let exporter = Self {
            settings: settings.clone(),
            resource: request::resource(&settings.service_name, instance_id),
            queued,
            counts,
            batch: Vec::new(),
            connection: None,
            state: LogState::default(),
        };
        Ok((tracer, Some(exporter)))
    }

    /// Exports until `stop`, then what is queued, for two seconds at most.
    pub async fn run(mut self, stop: CancellationToken) {
        let Settings { endpoint, sample_ratio, .. } = &self.settings;
        info!(endpoint, sample_ratio = f64::from(*sample_ratio), "spans of sampled calls are exported");
        if self.settings.exposes_headers() {
            warn!("the headers for the collector of traces are not encrypted on their way; set an endpoint with https");
        }
        let flush_over = async {
            stop.cancelled().await;
            sleep(FLUSH_TIMEOUT).await;
        };
        tokio::select! {
            () = self.export_all(&stop) => {}
            () = flush_over => {}
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
            self.connection = None;
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
        let Self { settings, resource, batch, connection, .. } = self;
        let export = async {
            let connection = match connection {
                Some(connection) => connection,
                None => connection.insert(connect(settings).await?),
            };
            let response =
                connection.export(request::request(resource, batch)).await.map_err(ExportFailure::Refused)?;
            let rejected = response.partial_success.map_or(0, |partial| partial.rejected_spans);
            Ok(usize::try_from(rejected).unwrap_or(0).min(batch.len()))
        };
        timeout(settings.timeout, export).await.unwrap_or(Err(ExportFailure::TimedOut))
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

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("endpoint", &self.settings.endpoint).finish_non_exhaustive()
    }
}

async fn sleep_until_stopped(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}

/// Reads the files again, which may have changed, and connects.
async fn connect(settings: &Settings) -> Result<Connection, ExportFailure> {
    let settings = settings.clone();
    let patience = settings.timeout;
    let opened = spawn_blocking(move || Collector::open(&settings)).await.expect("reading the files does not panic");
    let collector = opened.map_err(ExportFailure::Settings)?.expect("the endpoint does not change");
    collector.connect(patience).await.map_err(ExportFailure::NotConnected)
}

/// Why the collector does not have a batch.
#[derive(Debug)]
enum ExportFailure {
    Settings(SettingError),
    NotConnected(transport::Error),
    Refused(Status),
    TimedOut,
}

impl ExportFailure {
    /// Whether the same request may succeed later, by the rules of OTLP.
    fn may_pass(&self) -> bool {
        use Code::{
            Aborted, Cancelled, DataLoss, DeadlineExceeded, OutOfRange, ResourceExhausted, Unavailable, Unknown,
        };

        match self {
            Self::Settings(_) | Self::NotConnected(_) | Self::TimedOut => true,
            // `Unknown` is how tonic calls a connection that broke.
            Self::Refused(status) => matches!(
                status.code(),
                Aborted
                    | Cancelled
                    | DataLoss
                    | DeadlineExceeded
                    | OutOfRange
                    | ResourceExhausted
                    | Unavailable
                    | Unknown
            ),
        }
    }
}

impl fmt::Display for ExportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => write!(f, "traces.{error}"),
            Self::NotConnected(_) => f.write_str("no connection to the collector"),
            // Without the text of the collector, which could repeat a header.
            Self::Refused(status) => write!(f, "the collector answers {:?}", status.code()),
            Self::TimedOut => f.write_str("the collector does not answer in time"),
        }
    }
}

impl Error for ExportFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Settings(_) | Self::TimedOut => None,
            Self::NotConnected(error) => error.source(),
            Self::Refused(status) => status.source(),
        }
    }
}

/// The spans of one request.
const MAX_BATCH: usize = 512;

/// How long a span waits for others.
const MAX_DELAY: Duration = Duration::from_secs(1);

// Five attempts within 15 seconds, beside the time that they take.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(8);

/// How much a collector that is slow or down may delay a stop.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

const LOG_INTERVAL: Duration = Duration::from_secs(60);
