//! What may change while the house serves, and the one way to change it.
//!
//! Knows nothing of configurations: what comes here is right already, and is taken up as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tls::Tls;
use crate::app::Apps;
use crate::auth::{CallerRegistry, Callers};
use crate::service::Service;
use crate::types::{Clock, Time};

/// All that may change while the house serves.
#[derive(Clone, Debug)]
pub struct Reloadable {
    /// Whose sessions it keeps.
    pub apps: Apps,
    /// Who may call.
    pub callers: Callers,
}

/// Changes a house that serves.
#[derive(Clone, Debug)]
pub struct Reloader {
    service: Service,
    registry: CallerRegistry,
    tls: Vec<Arc<Tls>>,
    clock: Arc<dyn Clock>,
    reloads: Arc<Reloads>,
}

/// How often that was done, and how it went the last time.
#[derive(Debug)]
pub(super) struct Reloads {
    pub(super) applied: AtomicU64,
    pub(super) refused: AtomicU64,
    last_successful: AtomicBool,
    /// Milliseconds since 1970.
    last_success: AtomicU64,
}

impl Reloader {
    pub(super) fn new(service: Service, registry: CallerRegistry, tls: Vec<Arc<Tls>>, clock: Arc<dyn Clock>) -> Self {
        let reloads = Arc::new(Reloads {
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_successful: AtomicBool::new(true),
            last_success: AtomicU64::new(clock.now().millis()),
        });
        Self { service, registry, tls, clock, reloads }
    }

    /// Serves with these from now on. No connection and no call notices but by what it is answered next.
    pub fn reload(&self, parts: &Reloadable) {
        let Reloadable { apps, callers } = parts;
        self.service.replace_apps(apps);
        self.registry.replace(callers.clone());
        self.reloads.applied.fetch_add(1, Ordering::Relaxed);
        self.reloads.last_success.store(self.clock.now().millis(), Ordering::Relaxed);
        self.reloads.last_successful.store(true, Ordering::Relaxed);
    }

    /// Looks at the files of TLS, which need no configuration to change. Reads from disk.
    pub fn refresh_certificates(&self) {
        self.tls.iter().for_each(|tls| tls.refresh(self.clock.now()));
    }

    /// The callers that it replaces.
    pub(super) const fn registry(&self) -> &CallerRegistry {
        &self.registry
    }

    /// The TLS of every listener that has it.
    pub(super) fn tls(&self) -> &[Arc<Tls>] {
        &self.tls
    }

    /// Tells the metrics that something wrong was to be taken up. All stays as it is.
    pub fn refuse(&self) {
        self.reloads.refused.fetch_add(1, Ordering::Relaxed);
        self.reloads.last_successful.store(false, Ordering::Relaxed);
    }

    pub(super) const fn reloads(&self) -> &Arc<Reloads> {
        &self.reloads
    }
}

impl Reloads {
    pub(super) fn was_last_successful(&self) -> bool {
        self.last_successful.load(Ordering::Relaxed)
    }

    /// When what is in force was taken up; the start counts.
    pub(super) fn last_success(&self) -> Time {
        Time::from_millis(self.last_success.load(Ordering::Relaxed))
    }
}
