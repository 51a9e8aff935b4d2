//! The health of the process, as gRPC health checks, `/readyz`, `/readablez` and the metrics report it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::grpc;

/// The state that the pages and the metrics report. Everything is false until the background tasks start.
#[derive(Debug, Default)]
pub(super) struct HealthState {
    serving: AtomicBool,
    readable: AtomicBool,
    store_up: AtomicBool,
}

impl HealthState {
    pub(super) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }

    /// Whether sessions can be read here, whether or not the store takes writes, and the process is not stopping.
    pub(super) fn is_readable(&self) -> bool {
        self.readable.load(Ordering::Relaxed)
    }

    /// Whether the last ping of the store was successful.
    pub(super) fn is_store_up(&self) -> bool {
        self.store_up.load(Ordering::Relaxed)
    }
}

/// Publishes the health to all that report it.
#[derive(Clone, Debug, Default)]
pub(super) struct HealthPublisher {
    pub(super) state: Arc<HealthState>,
    pub(super) reporter: HealthReporter,
}

impl HealthPublisher {
    /// Publishes whether both services are serving.
    pub(super) async fn publish(&self, status: ServingStatus) {
        self.state.serving.store(status == ServingStatus::Serving, Ordering::Relaxed);
        self.reporter.set_service_status(grpc::SESSION_SERVICE, status).await;
        self.reporter.set_service_status(grpc::ADMIN_SERVICE, status).await;
    }

    /// Publishes whether sessions can be read.
    pub(super) async fn publish_readable(&self, readable: bool) {
        self.state.readable.store(readable, Ordering::Relaxed);
        let status = if readable { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(grpc::READABLE_SERVICE, status).await;
    }

    /// Publishes that the process stops. From here on the process itself, the service named "", is not serving either.
    pub(super) async fn publish_shutdown(&self) {
        self.publish(ServingStatus::NotServing).await;
        self.publish_readable(false).await;
        self.reporter.set_service_status("", ServingStatus::NotServing).await;
    }

    pub(super) fn publish_store_up(&self, up: bool) {
        self.state.store_up.store(up, Ordering::Relaxed);
    }
}
