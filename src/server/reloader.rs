//! The parts that may change while the service runs, and how they are changed.
//!
//! Reads no configuration: a [`Reloadable`] has been checked, and is applied as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tls::Tls;
use crate::app::Apps;
use crate::auth::{CallerRegistry, Callers};
use crate::service::Service;
use crate::types::{Clock, Time};

/// The settings that may change while the service runs.
#[derive(Clone, Debug)]
pub struct Reloadable {
    pub apps: Apps,
    pub callers: Callers,
}

/// Changes the settings of a running service.
#[derive(Clone, Debug)]
pub struct Reloader {
    service: Service,
    registry: CallerRegistry,
    tls: Vec<Arc<Tls>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<ReloadMetrics>,
}

/// The number of reloads, and the result of the last one.
#[derive(Debug)]
pub(super) struct ReloadMetrics {
    pub(super) applied: AtomicU64,
    pub(super) refused: AtomicU64,
    last_successful: AtomicBool,
    /// Milliseconds since 1970.
    last_success: AtomicU64,
}

impl Reloader {
    pub(super) fn new(service: Service, registry: CallerRegistry, tls: Vec<Arc<Tls>>, clock: Arc<dyn Clock>) -> Self {
        let metrics = Arc::new(ReloadMetrics {
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_successful: AtomicBool::new(true),
            last_success: AtomicU64::new(clock.now().millis()),
        });
        Self { service, registry, tls, clock, metrics }
    }

    /// Applies new settings. Connections and running calls continue; only later results differ.
    pub fn reload(&self, settings: &Reloadable) {
        let Reloadable { apps, callers } = settings;
        self.service.replace_apps(apps);
        self.registry.replace(callers.clone());
        self.metrics.applied.fetch_add(1, Ordering::Relaxed);
        self.metrics.last_success.store(self.clock.now().millis(), Ordering::Relaxed);
        self.metrics.last_successful.store(true, Ordering::Relaxed);
    }

    /// Reads the TLS files again, which may change without the configuration. Blocks on the disk.
    pub fn refresh_certificates(&self) {
        self.tls.iter().for_each(|tls| tls.refresh(self.clock.now()));
    }

    /// Returns the callers, which a reload replaces.
    pub(super) const fn registry(&self) -> &CallerRegistry {
        &self.registry
    }

    /// Returns the TLS of each listener that has it.
    pub(super) fn tls(&self) -> &[Arc<Tls>] {
        &self.tls
    }

    /// Counts a configuration that was refused. The settings do not change.
    pub fn refuse(&self) {
        self.metrics.refused.fetch_add(1, Ordering::Relaxed);
        self.metrics.last_successful.store(false, Ordering::Relaxed);
    }

    pub(super) const fn metrics(&self) -> &Arc<ReloadMetrics> {
        &self.metrics
    }
}

impl ReloadMetrics {
    pub(super) fn was_last_successful(&self) -> bool {
        self.last_successful.load(Ordering::Relaxed)
    }

    /// Returns the time of the last successful reload; before the first one, of the start.
    pub(super) fn last_success(&self) -> Time {
        Time::from_millis(self.last_success.load(Ordering::Relaxed))
    }
}
