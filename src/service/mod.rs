//! What can be done with sessions, one verb a file.
//!
//! Knows the rules and the store's contract. Knows nothing of gRPC, of sockets or of how a store
//! keeps things.

mod cookie_kind;
mod credential;
mod destroy;
mod error;
mod events;
mod import;
mod index;
mod list;
mod migration;
mod open;
mod policy;
mod prepared_save;
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

use tracing::info;

pub use credential::Credential;
pub use destroy::{DestroyRequest, Destroyed};
pub use error::Error;
pub use events::{EventBatch, EventReader};
pub use list::{SessionInfo, SessionPage, WithEntries};
pub use open::{OpenRequest, Opened};
pub use rotate::{RotateRequest, RotationCause};
pub use save::{SaveRequest, Saved};
pub use served_apps::ServedApp;
pub use stats::{AppStats, LiveCount, MigrationRefusal, MigrationStats};
pub use view::{Header, NullReason, Outcome, SessionView};
pub use watch::{SessionWatch, WatchRequest, WatchStart};

use self::served_apps::ServedApps;
use self::stats::Stats;
use self::subject_limit::SubjectLocks;
use self::watch_registry::WatchRegistry;
use crate::app::{App, Apps, Kind, MigrationSource};
use crate::cookie;
use crate::store::{Handle, SessionKey};
use crate::token::{KeyRing, SplitToken, TokenRejection};
use crate::types::{Clock, Time, timestamp};

/// The session service, on one store. Cloning shares it.
#[derive(Debug)]
pub struct Service {
    apps: Arc<ServedApps>,
    store: Handle,
    clock: Arc<dyn Clock>,
    watch_registry: Arc<WatchRegistry>,
    stats: Arc<Stats>,
    subject_locks: Arc<SubjectLocks>,
}

impl Clone for Service {
    fn clone(&self) -> Self {
        Self {
            apps: Arc::clone(&self.apps),
            store: self.store.clone(),
            clock: Arc::clone(&self.clock),
            watch_registry: Arc::clone(&self.watch_registry),
            stats: Arc::clone(&self.stats),
            subject_locks: Arc::clone(&self.subject_locks),
        }
    }
}

impl Service {
    /// A service for these apps.
    pub fn new(apps: Apps, store: Handle, clock: Arc<dyn Clock>) -> Self {
        log_migration_sources(&apps, clock.now());
        Self {
            stats: Arc::new(Stats::new(&apps, clock.now())),
            subject_locks: Arc::new(SubjectLocks::new()),
            watch_registry: Arc::default(),
            apps: Arc::new(ServedApps::new(&apps)),
            store,
            clock,
        }
    }

    /// Serves these apps from now on, in place of all others. Calls that run end with what they began with.
    ///
    /// What is kept of an app that goes stays in the store; its watches end, as those of an unknown app.
    pub fn replace_apps(&self, apps: &Apps) {
        log_migration_sources(apps, self.clock.now());
        // First, so that no call of a new app goes uncounted.
        self.stats.include(apps);
        let before = self.apps.replace(apps);
        before
            .keys()
            .filter(|name| apps.find(name.as_str()).is_none())
            .for_each(|gone| self.watch_registry.notify_all(gone));
    }

    /// The app of that name, as it is served now; an empty name means `default`.
    pub fn app(&self, name: &str) -> Result<Arc<ServedApp>, Error> {
        self.apps.find(name).ok_or(Error::AppUnknown)
    }

    /// The app of that name, for what only a store can do.
    fn stored_app(&self, name: &str, what: &'static str) -> Result<Arc<ServedApp>, Error> {
        let app = self.app(name)?;
        match app.kind {
            Kind::Stored => Ok(app),
            Kind::Cookie(_) => Err(Error::NotInCookieKind(what)),
        }
    }

    /// The store underneath.
    pub const fn store(&self) -> &Handle {
        &self.store
    }

    /// What every verb needs to know of its call.
    fn call<'s>(&'s self, app: &'s ServedApp, cookie_name: Option<&str>) -> Result<AppCall<'s>, Error> {
        let keys = app.keys.as_ref().ok_or(Error::NullSession(NullReason::NoKey))?;
        Ok(AppCall { app, keys, cookie: cookie_of(app, cookie_name)?, now: self.clock.now(), stats: &self.stats })
    }
}

/// The app's cookie, under the name that the request gives to it, if it does.
fn cookie_of<'s>(app: &'s App, name: Option<&str>) -> Result<Cow<'s, cookie::Template>, Error> {
    let renamed = |name| app.cookie.named(name).map(Cow::Owned).map_err(Error::CookieName);
    name.map_or(Ok(Cow::Borrowed(&app.cookie)), renamed)
}

/// Says which doors for old sessions stand open.
fn log_migration_sources(apps: &Apps, now: Time) {
    for (app, migration) in apps.iter().filter_map(|app| Some((&app.name, app.migration.as_ref()?))) {
        let sources = migration.sources().map(MigrationSource::as_str).collect::<Vec<_>>().join(", ");
        let until = timestamp::text(migration.until);
        if now < migration.until {
            info!(%app, sources, until, "sessions from before may come in");
        } else {
            info!(%app, sources, until, "the doors for sessions from before are shut; their settings can go");
        }
    }
}

/// One call on behalf of an app that has keys: at one time, with one cookie.
struct AppCall<'s> {
    app: &'s ServedApp,
    keys: &'s KeyRing,
    cookie: Cow<'s, cookie::Template>,
    now: Time,
    stats: &'s Stats,
}

impl AppCall<'_> {
    /// What was issued, unless it does not verify, which is counted.
    fn verified<T>(&self, opened: Result<T, TokenRejection>) -> Result<T, TokenRejection> {
        opened.inspect_err(|reason| self.stats.rejected(&self.app.name, *reason))
    }

    fn session_key(&self, token: SplitToken) -> SessionKey {
        SessionKey { app: self.app.name.clone(), id: token.id(&self.app.name) }
    }
}
