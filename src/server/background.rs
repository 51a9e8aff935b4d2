//! The background tasks of the service: store health, store cleanup, live count, and certificates.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic_health::ServingStatus;
use tracing::{info, warn};

use super::health::HealthPublisher;
use super::tls::Tls;
use crate::service::{CountPace, Service};
use crate::store;
use crate::types::Clock;

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
        watch_store(|| store.ping(), health, store_unhealthy_after),
        sweep_store(store, clock),
        count_live_sessions(service, live_count_interval),
        refresh_certificates(tls, clock),
    );
}

/// Pings the store. Publishes `NOT_SERVING` after this time without a success, and `SERVING` at the next success.
async fn watch_store<F: Future<Output = Result<(), store::Error>>>(
    ping: impl Fn() -> F,
    health: &HealthPublisher,
    unhealthy_after: Duration,
) {
    let mut last_success = Instant::now();
    let mut published = ServingStatus::Serving;
    health.publish(published).await;
    loop {
        // With a timeout, because a disk that hangs never responds.
        let result =
            timeout(unhealthy_after, ping()).await.unwrap_or_else(|error| Err(store::Error::unavailable(error)));
        health.publish_store_up(result.is_ok());
        let status = match &result {
            Ok(()) => {
                last_success = Instant::now();
                ServingStatus::Serving
            }
            Err(_) if last_success.elapsed() >= unhealthy_after => ServingStatus::NotServing,
            Err(_) => published,
        };
        if status != published {
            match result {
                Ok(()) => info!("the store answers again"),
                Err(error) => {
                    warn!(error = &error as &dyn Error, "the store has been silent for too long: not serving")
                }
            }
            health.publish(status).await;
            published = status;
        }
        sleep(unhealthy_after / PINGS_UNTIL_UNHEALTHY).await;
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

/// How many times the store is pinged before it counts as unhealthy.
const PINGS_UNTIL_UNHEALTHY: u32 = 10;

const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tonic::Request;
    use tonic::codegen::tokio_stream::StreamExt as _;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as WireStatus;
    use tonic_health::pb::health_server::Health as _;
    use tonic_health::server::HealthService;

    use super::*;
    use crate::grpc;

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
            () = watch_store(pending::<Result<(), store::Error>>, &health, Duration::from_millis(10)) => {}
            not_serving = timeout(Duration::from_secs(5), not_serving) => not_serving.unwrap(),
        }
    }
}
