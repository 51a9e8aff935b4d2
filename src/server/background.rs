//! The background tasks of the service: store health, store cleanup, live count, and certificates.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tonic_health::ServingStatus;
use tracing::{info, warn};

use super::health::HealthPublisher;
use super::tls::Tls;
use crate::service::{CountPace, Service};
use crate::store::{self, ServerClock};
use crate::types::{Clock, Time, duration, with_causes};

/// Runs all background tasks until the future is dropped.
pub(super) async fn run(
    service: &Service,
    tls: &[Arc<Tls>],
    clock: &dyn Clock,
    health: &HealthPublisher,
    store_unhealthy_after: Duration,
    live_count_interval: Duration,
) {
    let store = service.store();
    tokio::join!(
        watch_store(|| store.ping(), || store.check_reads(), health, store_unhealthy_after),
        sweep_store(store, clock),
        count_live_sessions(service, live_count_interval),
        watch_store_clock(store, clock),
        refresh_certificates(tls, clock),
    );
}

/// Pings the store and publishes what it finds.
///
/// `NOT_SERVING` at once if the store refuses to work or is full, and after `unhealthy_after` without a success if it is
/// silent, for a short silence is no reason to turn traffic away. `SERVING` at the next success.
///
/// While it is not serving, a read tells whether sessions can be read all the same: all replicas share the store, and none
/// of them could log a user out if a store without room took all of them away.
async fn watch_store<P, R>(
    ping: impl Fn() -> P,
    read: impl Fn() -> R,
    health: &HealthPublisher,
    unhealthy_after: Duration,
) where
    P: Future<Output = Result<(), store::Error>>,
    R: Future<Output = Result<(), store::Error>>,
{
    let interval = PING_INTERVAL.min(unhealthy_after / 4);
    // With a timeout, because a disk that hangs never responds. Redis has one of its own, and names a cause.
    let max_wait = unhealthy_after + PING_INTERVAL;
    let silent = || store::Error::unavailable(format!("no answer within {}", duration::text(max_wait)));
    // A read that takes longer is none that a user waits for.
    let can_read = async || matches!(timeout(unhealthy_after / 2, read()).await, Ok(Ok(())));
    let mut silence = Silence { since: None, interval, limit: unhealthy_after };
    let mut logged_problem = None;
    let mut published = Published::start(health).await;
    loop {
        let deadline = silence.deadline(Instant::now());
        let mut pinging = pin!(timeout(max_wait, ping()));
        let (result, reads) = match timeout_at(deadline, pinging.as_mut()).await {
            Ok(result) => (result, None),
            Err(_) => {
                // The cause is logged when the ping tells it.
                health.publish_store_up(false);
                published.change_status(ServingStatus::NotServing).await;
                let read = async {
                    let reads = can_read().await;
                    published.change_readable(reads).await;
                    reads
                };
                let (result, reads) = tokio::join!(pinging, read);
                (result, Some(reads))
            }
        };
        let result = result.unwrap_or_else(|_| Err(silent()));
        health.publish_store_up(result.is_ok());
        let is_short_silence = matches!(result, Err(store::Error::Unavailable(_)))
            && published.status == ServingStatus::Serving
            && Instant::now() < deadline;
        let mut next = Instant::now() + interval;
        if is_short_silence {
            next = next.min(deadline);
        } else {
            let status = if result.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing };
            log_change(&mut logged_problem, &result);
            published.change_status(status).await;
            let reads = match reads {
                _ if result.is_ok() => true,
                Some(reads) => reads,
                None => can_read().await,
            };
            published.change_readable(reads).await;
        }
        if result.is_ok() {
            silence.end();
        }
        sleep_until(next).await;
    }
}

/// How long the store has not answered.
struct Silence {
    since: Option<Instant>,
    /// The time between a success and the next ping.
    interval: Duration,
    limit: Duration,
}

impl Silence {
    /// Returns when the silence gets too long, at the begin of a ping.
    ///
    /// It counts from the last success on, but for the time that this process stood still: that is no fault of the store.
    fn deadline(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert_with(|| now - self.interval) + self.limit
    }

    fn end(&mut self) {
        self.since = None;
    }
}

/// The health that was published last. Publishes only what differs from it.
struct Published<'h> {
    health: &'h HealthPublisher,
    status: ServingStatus,
    readable: bool,
}

impl<'h> Published<'h> {
    /// Publishes that nothing is known of the store yet.
    async fn start(health: &'h HealthPublisher) -> Self {
        health.publish(ServingStatus::NotServing).await;
        health.publish_readable(false).await;
        Self { health, status: ServingStatus::NotServing, readable: false }
    }

    async fn change_status(&mut self, status: ServingStatus) {
        if self.status != status {
            self.status = status;
            self.health.publish(status).await;
        }
    }

    async fn change_readable(&mut self, readable: bool) {
        if self.readable != readable {
            self.readable = readable;
            self.health.publish_readable(readable).await;
        }
    }
}

/// Logs why the store does not work, once for each cause, and which problem has ended when it works again.
fn log_change(logged_problem: &mut Option<String>, result: &Result<(), store::Error>) {
    let problem = result.as_ref().err().map(|error| with_causes(error));
    if *logged_problem != problem {
        match &problem {
            None => info!(problem = logged_problem.as_deref(), "the store works again"),
            Some(error) => warn!(error, "the store does not work; this replica is not serving"),
        }
        *logged_problem = problem;
    }
}

/// Removes what the store no longer needs. Repeats at once while there is more to remove.
async fn sweep_store(store: &store::Handle, clock: &dyn Clock) {
    loop {
        match store.sweep(clock.now()).await {
            Ok(0) => {}
            Ok(_) => {
                tokio::task::yield_now().await;
                continue;
            }
            Err(error) => warn!(error = &error as &dyn Error, "could not sweep the store"),
        }
        sleep(SWEEP_INTERVAL).await;
    }
}

/// Compares the store's clock with that of the service, at the start and then at intervals.
///
/// Redis expires sessions by its own clock. One that is ahead deletes sessions too early, without an error.
async fn watch_store_clock(store: &store::Handle, clock: &dyn Clock) {
    let mut has_warned = false;
    loop {
        // A store that does not answer is reported by its pings.
        let clocks = store.read_clocks().await.unwrap_or_default();
        if !clocks.is_empty() {
            has_warned = log_clocks(clock.now(), &clocks, has_warned);
        }
        sleep(CLOCK_INTERVAL).await;
    }
}

/// Warns of the clock that is most wrong, with the number of all that are. Returns whether there is one.
fn log_clocks(now: Time, clocks: &[ServerClock], has_warned: bool) -> bool {
    let skew = |clock: &ServerClock| clock_skew(now, clock.time);
    let wrong: Vec<_> = clocks.iter().filter_map(|clock| Some((skew(clock)?, &clock.node))).collect();
    match wrong.iter().max() {
        Some(((seconds, direction), node)) => warn!(
            node,
            seconds,
            clocks = wrong.len(),
            "the clock of Redis is {direction}: sessions expire at a wrong time; set the clocks"
        ),
        None if has_warned => info!("the clocks of Redis and of this service agree again"),
        None => {}
    }
    !wrong.is_empty()
}

/// Returns by how many seconds the store's clock is wrong, and in which direction. `None`: not worth a warning.
pub fn clock_skew(now: Time, store_time: Time) -> Option<(u64, &'static str)> {
    let (skew, direction) =
        if store_time > now { (store_time.since(now), "ahead") } else { (now.since(store_time), "behind") };
    (skew > MAX_CLOCK_SKEW).then_some((skew.as_secs(), direction))
}

/// Counts the live sessions, at the start and then with this pause between two counts; zero: never.
async fn count_live_sessions(service: &Service, interval: Duration) {
    while !interval.is_zero() {
        if let Err(error) = service.count_live_sessions(CountPace::of(service.store().kind())).await {
            warn!(error = &error as &dyn Error, "could not count the live sessions");
        }
        sleep(interval).await;
    }
}

/// Reads the TLS files of all listeners again, at intervals.
async fn refresh_certificates(listeners: &[Arc<Tls>], clock: &dyn Clock) {
    loop {
        sleep(CERTIFICATE_INTERVAL).await;
        let (listeners, now) = (listeners.to_vec(), clock.now());
        // On a blocking thread, because the files may be on a network. The panic hook logs a panic.
        let _ = tokio::task::spawn_blocking(move || listeners.iter().for_each(|tls| tls.refresh(now))).await;
    }
}

/// How often the store is pinged: often enough that health tells within a second what the store does.
const PING_INTERVAL: Duration = Duration::from_millis(250);

const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio_util::sync::CancellationToken;
    use tonic::Request;
    use tonic::codegen::tokio_stream::StreamExt as _;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as WireStatus;
    use tonic_health::pb::health_server::Health as _;
    use tonic_health::server::HealthService;

    use super::*;
    use crate::grpc;
    use crate::telemetry::capture::text_of;

    #[test]
    fn clocks_that_differ_by_more_than_a_minute_are_told() {
        let now = Time::from_seconds(1_000_000);
        let table =
            [(1_000_060, None), (999_940, None), (1_000_061, Some((61, "ahead"))), (989_200, Some((10_800, "behind")))];

        for (seconds, skew) in table {
            assert_eq!(clock_skew(now, Time::from_seconds(seconds)), skew);
        }
    }

    #[test]
    fn the_clock_that_is_most_wrong_is_named_and_its_end_is_told_once() {
        let clock = |node: &str, seconds| ServerClock { node: Some(node.into()), time: Time::from_seconds(seconds) };
        let wrong =
            [clock("10.0.0.1:6379", 1_000_070), clock("10.0.0.2:6379", 999_500), clock("10.0.0.3:6379", 1_000_000)];
        let right = &wrong[2..];
        let now = Time::from_seconds(1_000_000);

        let lines = text_of(|| {
            let mut has_warned = false;
            for clocks in [right, &wrong, &wrong, right, right] {
                has_warned = log_clocks(now, clocks, has_warned);
            }
        });

        let warning =
            |line: &String| line.contains("is behind") && line.contains("node=\"10.0.0.2:6379\" seconds=500 clocks=2");
        assert!(lines.len() == 3 && lines[..2].iter().all(warning) && lines[2].contains("agree again"), "{lines:?}");
    }

    async fn readable() -> Result<(), store::Error> {
        Ok(())
    }

    #[tokio::test]
    async fn a_store_is_readable_while_it_answers_reads_whatever_the_ping_says() {
        let health = HealthPublisher::default();
        let refuses = async || Err(store::Error::Refused("READONLY".into()));
        let can_read = AtomicBool::new(true);
        let read = async || match can_read.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(store::Error::Refused("NOAUTH".into())),
        };
        let becomes = async |expected: bool| {
            while health.state.is_readable() != expected {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let changes = async {
            becomes(true).await;
            can_read.store(false, Ordering::Relaxed);
            becomes(false).await;
            can_read.store(true, Ordering::Relaxed);
            becomes(true).await;
        };

        tokio::select! {
            () = watch_store(refuses, read, &health, Duration::from_millis(40)) => {}
            changed = timeout(Duration::from_secs(10), changes) => changed.unwrap(),
        }
        assert!(!health.state.is_serving());
    }

    #[tokio::test]
    async fn a_store_that_hangs_at_reads_too_is_not_readable() {
        let health = HealthPublisher::default();
        let pings = AtomicUsize::new(0);
        let ping = async || match pings.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => pending().await,
        };
        let was_readable = async {
            while !health.state.is_readable() {
                sleep(Duration::from_millis(1)).await;
            }
            while health.state.is_readable() {
                sleep(Duration::from_millis(1)).await;
            }
        };

        tokio::select! {
            () = watch_store(ping, pending::<Result<(), store::Error>>, &health, Duration::from_millis(40)) => {}
            ended = timeout(Duration::from_secs(10), was_readable) => ended.unwrap(),
        }
    }

    #[tokio::test]
    async fn a_store_whose_ping_hangs_is_not_readable_as_soon_as_a_read_fails() {
        let health = HealthPublisher::default();
        let pings = AtomicUsize::new(0);
        let ping = async || match pings.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => pending().await,
        };
        let read = async || Err(store::Error::Refused("NOAUTH".into()));
        let was_readable = async {
            while !health.state.is_serving() {
                sleep(Duration::from_millis(1)).await;
            }
            while health.state.is_serving() {
                assert!(health.state.is_readable());
                sleep(Duration::from_millis(1)).await;
            }
        };

        tokio::select! {
            () = watch_store(ping, read, &health, Duration::from_millis(40)) => {}
            ended = timeout(Duration::from_secs(10), was_readable) => ended.unwrap(),
        }
        assert!(!health.state.is_readable());
    }

    #[tokio::test]
    async fn a_store_that_refuses_makes_health_not_serving_at_once() {
        let health = HealthPublisher::default();
        let pings = AtomicUsize::new(0);
        let ping = async || match pings.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(store::Error::Refused("READONLY".into())),
        };
        let not_serving = async {
            while pings.load(Ordering::Relaxed) < 2 || health.state.is_serving() {
                sleep(Duration::from_millis(1)).await;
            }
        };

        tokio::select! {
            () = watch_store(ping, readable, &health, Duration::from_secs(3600)) => {}
            not_serving = timeout(Duration::from_secs(5), not_serving) => not_serving.unwrap(),
        }
    }

    /// The ping sees what health says before it ends itself.
    #[tokio::test]
    async fn a_store_that_hangs_makes_health_not_serving_while_the_ping_waits() {
        let health = HealthPublisher::default();
        let unhealthy_after = Duration::from_millis(200);
        let (pings, was_noticed) = (AtomicUsize::new(0), CancellationToken::new());
        let ping = async || {
            if !pings.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                sleep(unhealthy_after).await;
                if !health.state.is_serving() {
                    was_noticed.cancel();
                }
            }
            Ok(())
        };

        tokio::select! {
            () = watch_store(ping, readable, &health, unhealthy_after) => {}
            // Several pings, for a machine that stands still ends both waits at once.
            noticed = timeout(Duration::from_secs(10), was_noticed.cancelled()) => noticed.unwrap(),
        }
    }

    #[test]
    fn a_silence_counts_from_the_last_success_and_not_while_the_process_stood_still() {
        let (begin, interval, limit) = (Instant::now(), PING_INTERVAL, Duration::from_secs(1));
        let mut silence = Silence { since: None, interval, limit };

        let deadline = silence.deadline(begin + interval);
        let later = silence.deadline(begin + 2 * interval);
        silence.end();
        let after_standstill = silence.deadline(begin + Duration::from_secs(60));

        assert_eq!((deadline, later), (begin + limit, begin + limit));
        assert_eq!(after_standstill, begin + Duration::from_secs(60) - interval + limit);
    }

    #[tokio::test]
    async fn a_store_that_hangs_makes_health_not_serving() {
        let health = HealthPublisher::default();
        health.publish(ServingStatus::Serving).await;
        let not_serving = async {
            let request = Request::new(HealthCheckRequest { service: grpc::SESSION_SERVICE.to_owned() });
            let service = HealthService::from_health_reporter(health.reporter.clone());
            let mut responses = service.watch(request).await.unwrap().into_inner();
            while let Some(response) = responses.next().await {
                if response.unwrap().status() == WireStatus::NotServing {
                    return;
                }
            }
        };

        tokio::select! {
            () = watch_store(pending::<Result<(), store::Error>>, readable, &health, Duration::from_millis(10)) => {}
            not_serving = timeout(Duration::from_secs(5), not_serving) => not_serving.unwrap(),
        }
    }
}
