//! What can be done with sessions, one verb a file.
//!
//! Knows the rules and the store's contract. Knows nothing of gRPC, of sockets or of how a store
//! keeps things.

mod asked;
mod claim;
mod destroy;
mod error;
mod events;
mod hub;
mod index;
mod list;
mod open;
mod policy;
mod revoke;
mod rotate;
mod save;
mod stats;
mod subject_limit;
mod view;
mod watch;
mod write;

use std::sync::Arc;

pub use claim::Credential;
pub use destroy::{Destroy, Destroyed};
pub use error::Error;
pub use events::{Batch, Events};
pub use list::{Info, Listed, WithEntries};
pub use open::{Open, Opened};
pub use rotate::{Rotate, RotationCause};
pub use save::{Save, Saved};
pub use stats::{Census, Numbers};
pub use view::{Fate, Header, NullReason, View};
pub use watch::{Watch, Watched, Watching};

use self::hub::Hub;
use self::stats::Stats;
use self::subject_limit::Doors;
use crate::app::{App, Apps};
use crate::clock::{Clock, Time};
use crate::cookie;
use crate::store::{Place, Store};
use crate::token::{Bearer, KeyRing, Rejected};

/// The session service, on one store. Cloning shares it.
#[derive(Debug)]
pub struct Service<S> {
    apps: Arc<Apps>,
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    stats: Arc<Stats>,
    doors: Arc<Doors>,
}

impl<S> Clone for Service<S> {
    fn clone(&self) -> Self {
        Self {
            apps: Arc::clone(&self.apps),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            hub: Arc::clone(&self.hub),
            stats: Arc::clone(&self.stats),
            doors: Arc::clone(&self.doors),
        }
    }
}

impl<S: Store> Service<S> {
    /// A service for these apps.
    pub fn new(apps: Apps, store: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        let stats = Arc::new(Stats::new(&apps, clock.now()));
        Self { apps: Arc::new(apps), store, clock, hub: Arc::default(), stats, doors: Arc::new(Doors::new()) }
    }

    /// The app of that name; an empty name means `default`.
    pub fn app(&self, name: &str) -> Result<&App, Error> {
        self.apps.find(name).map(Arc::as_ref).ok_or(Error::AppUnknown)
    }

    /// The store underneath.
    pub const fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// What every verb needs to know of its call.
    fn call<'s>(&'s self, app: &'s App, cookie_name: Option<&str>) -> Result<Call<'s>, Error> {
        let keys = app.keys.as_ref().ok_or(Error::NullSession(NullReason::NoKey))?;
        let renamed = cookie_name.map(|name| app.cookie.named(name)).transpose().map_err(Error::CookieName)?;
        Ok(Call { app, keys, renamed, now: self.clock.now(), stats: &self.stats })
    }
}

/// One call on behalf of an app that has keys: at one time, with one cookie.
struct Call<'s> {
    app: &'s App,
    keys: &'s KeyRing,
    renamed: Option<cookie::Template>,
    now: Time,
    stats: &'s Stats,
}

impl Call<'_> {
    fn cookie(&self) -> &cookie::Template {
        self.renamed.as_ref().unwrap_or(&self.app.cookie)
    }

    /// What was issued, unless it does not verify, which is counted.
    fn verified<T>(&self, opened: Result<T, Rejected>) -> Result<T, Rejected> {
        opened.inspect_err(|reason| self.stats.rejected(&self.app.name, *reason))
    }

    fn place(&self, bearer: Bearer) -> Place {
        Place { app: self.app.name.clone(), id: bearer.id(&self.app.name) }
    }
}
