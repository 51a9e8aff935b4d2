//! The operations on sessions, one file for each.
//!
//! Knows the rules of sessions and the contract of a store. Knows nothing of gRPC, of sockets, or of how a store works.

mod audit;
mod call_counts;
mod cookie_kind;
mod credential;
mod destroy;
mod error;
mod events;
mod explain;
mod export;
mod external_kind;
mod headers;
mod import;
mod index;
mod list;
mod live_count;
mod liveness;
mod migrate_store;
mod migration;
mod open;
mod outcome;
mod policy;
mod prepared_save;
mod recovery;
mod revoke;
mod rotate;
mod save;
mod served_apps;
mod stats;
mod subject_limit;
mod view;
mod watch;
mod watch_registry;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracing::info;

pub use audit::SessionEnds;
pub use call_counts::{Found, SaveResult};
pub use credential::Credential;
pub use destroy::{DestroyRequest, Destroyed};
pub use error::Error;
pub use events::{EventBatch, EventReader};
pub use explain::{CredentialState, ExplainRequest, Explanation};
pub use export::SessionExport;
pub use headers::Header;
pub use index::WithEntries;
pub use list::{SessionInfo, SessionPage};
pub use live_count::{CountPace, LiveCount};
pub use migrate_store::StoreMigration;
pub use open::{OpenRequest, Opened};
pub use outcome::Outcome;
pub use rotate::{RotateRequest, RotationCause};
pub use save::{SaveRequest, Saved};
pub use served_apps::ServedApp;
pub use stats::{AppStats, MigrationRefusal, MigrationStats};
pub use view::{NullReason, SessionView};
pub use watch::{SessionWatch, WatchRequest, WatchStart};

use self::call_counts::CallFinding;
use self::export::MAX_EXPORTS;
use self::served_apps::ServedApps;
use self::stats::Stats;
use self::subject_limit::SubjectLocks;
use self::watch_registry::WatchRegistry;
use crate::app::{Apps, Kind, MigrationSource};
use crate::audit::AuditLog;
use crate::cookie::{self, CookieChanges};
use crate::store::{Handle, SessionKey};
use crate::token::{KeyRing, SessionId, SplitToken};
use crate::types::{AppName, Clock, Time, timestamp};

/// The session service, on one store. Clones share everything.
#[derive(Clone, Debug)]
pub struct Service {
    apps: Arc<ServedApps>,
    store: Handle,
    clock: Arc<dyn Clock>,
    watch_registry: Arc<WatchRegistry>,
    stats: Arc<Stats>,
    subject_locks: Arc<SubjectLocks>,
    /// A permit for each export that may run.
    exports: Arc<Semaphore>,
    /// A permit for the one move of the store that may run.
    store_migrations: Arc<Semaphore>,
    audit_log: AuditLog,
}

impl Service {
    /// A service for these apps. Logs their migration sources.
    pub fn new(apps: Apps, store: Handle, clock: Arc<dyn Clock>) -> Self {
        log_migration_sources(&apps, clock.now());
        Self {
            stats: Arc::new(Stats::new(&apps, clock.now())),
            subject_locks: Arc::new(SubjectLocks::new()),
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            store_migrations: Arc::new(Semaphore::new(1)),
            watch_registry: Arc::default(),
            apps: Arc::new(ServedApps::new(&apps)),
            store,
            clock,
            audit_log: AuditLog::default(),
        }
    }

    /// The same service, which adds the ends of sessions to this log.
    #[must_use]
    pub fn with_audit_log(self, audit_log: AuditLog) -> Self {
        Self { audit_log, ..self }
    }

    /// Replaces all apps. A call that is under way ends with the app that it began with.
    ///
    /// The sessions of a removed app stay in the store. Its watches end with [`Error::AppUnknown`].
    pub fn replace_apps(&self, apps: &Apps) {
        log_migration_sources(apps, self.clock.now());
        // First, so that every call of a new app is counted.
        self.stats.include(apps);
        let before = self.apps.replace(apps);
        let has_no_feed =
            |name: &&AppName| apps.find(name.as_str()).is_none_or(|app| matches!(app.kind, Kind::Cookie(_)));
        before.keys().filter(has_no_feed).for_each(|app| self.watch_registry.notify_all(app));
    }

    /// Returns all apps as they are served now, in the order of their names.
    pub fn apps(&self) -> Vec<Arc<ServedApp>> {
        self.apps.all().values().cloned().collect()
    }

    /// Returns the app of that name for an operation that needs a store.
    fn stored_app(&self, name: &str, operation: &'static str) -> Result<Arc<ServedApp>, Error> {
        let app = self.app(name)?;
        match app.kind {
            Kind::Stored | Kind::External => Ok(app),
            Kind::Cookie(_) => Err(Error::NotInCookieKind(operation)),
        }
    }

    /// Returns the audit log of the service.
    pub const fn audit_log(&self) -> &AuditLog {
        &self.audit_log
    }

    /// Returns the store of the service.
    pub const fn store(&self) -> &Handle {
        &self.store
    }

    /// Begins a call for an app of kind `stored` or `external`.
    fn begin_call<'s>(&'s self, app: &'s ServedApp, changes: CookieChanges<'_>) -> Result<AppCall<'s>, Error> {
        let tokens = match app.kind {
            Kind::External if changes.name.is_some() => return Err(Error::NotInExternalKind("cookie_name")),
            Kind::External if changes.has_attributes() => return Err(Error::NotInExternalKind("cookie_attributes")),
            Kind::External => None,
            Kind::Stored | Kind::Cookie(_) => {
                let keys = app.keys.as_ref().ok_or(Error::NullSession(NullReason::NoKey))?;
                Some(Tokens { keys, cookie: app.cookie.changed(&changes)? })
            }
        };
        let (now, finding, ended) = (self.clock.now(), CallFinding::default(), Mutex::default());
        Ok(AppCall { app, tokens, now, stats: &self.stats, finding, ended })
    }
}

/// Logs the migration sources of each app, and whether they still import.
fn log_migration_sources(apps: &Apps, now: Time) {
    for (app, migration) in apps.iter().filter_map(|app| Some((&app.name, app.migration.as_ref()?))) {
        let sources = migration.sources().map(MigrationSource::as_str).collect::<Vec<_>>().join(", ");
        let until = timestamp::text(migration.until);
        if now < migration.until {
            info!(%app, sources, until, "legacy sessions are imported");
        } else {
            info!(%app, sources, until, "legacy sessions are no longer imported; the migrate settings can be removed");
        }
    }
}

/// One call for an app whose sessions are in the store: with one time and one cookie.
struct AppCall<'s> {
    app: &'s ServedApp,
    /// `None` for an app of kind `external`, whose framework has its own.
    tokens: Option<Tokens<'s>>,
    now: Time,
    stats: &'s Stats,
    finding: CallFinding,
    /// The sessions that this call has ended. Their legacy credentials are not counted as refused.
    ended: Mutex<Vec<SessionId>>,
}

/// The keys that sign an app's tokens, and the cookie that has them.
struct Tokens<'s> {
    keys: &'s KeyRing,
    cookie: Cow<'s, cookie::Template>,
}

impl AppCall<'_> {
    /// The keys that sign the app's tokens; `None` for an app of kind `external`.
    fn keys(&self) -> Option<&KeyRing> {
        self.tokens.as_ref().map(|tokens| tokens.keys)
    }

    fn session_key(&self, token: SplitToken) -> SessionKey {
        SessionKey { app: self.app.name.clone(), id: token.id(&self.app.name) }
    }
}
