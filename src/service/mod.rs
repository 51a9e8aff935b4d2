//! What can be done with sessions, one verb a file.
//!
//! Knows the rules and the store's contract. Knows nothing of gRPC, of sockets or of how a store
//! keeps things.

mod accept;
mod asked;
mod claim;
mod cookie_kind;
mod destroy;
mod error;
mod events;
mod hub;
mod import;
mod index;
mod list;
mod open;
mod policy;
mod revoke;
mod rotate;
mod save;
mod served;
mod stats;
mod subject_limit;
mod view;
mod watch;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use tracing::info;

pub use claim::Credential;
pub use destroy::{Destroy, Destroyed};
pub use error::Error;
pub use events::{Batch, Events};
pub use list::{Info, Listed, WithEntries};
pub use open::{Open, Opened};
pub use rotate::{Rotate, RotationCause};
pub use save::{Save, Saved};
pub use served::Served;
pub use stats::{Census, DoorNumbers, Numbers, Refused};
pub use view::{Fate, Header, NullReason, View};
pub use watch::{Watch, Watched, Watching};

use self::hub::Hub;
use self::served::ServedApps;
use self::stats::Stats;
use self::subject_limit::Queues;
use crate::app::{App, Apps, Door, Kind};
use crate::clock::{Clock, Time};
use crate::config::moment;
use crate::cookie;
use crate::store::{Place, Store};
use crate::token::{Bearer, KeyRing, Rejected};

/// The session service, on one store. Cloning shares it.
#[derive(Debug)]
pub struct Service<S> {
    apps: Arc<ServedApps>,
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    stats: Arc<Stats>,
    queues: Arc<Queues>,
}

impl<S> Clone for Service<S> {
    fn clone(&self) -> Self {
        Self {
            apps: Arc::clone(&self.apps),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            hub: Arc::clone(&self.hub),
            stats: Arc::clone(&self.stats),
            queues: Arc::clone(&self.queues),
        }
    }
}

impl<S: Store> Service<S> {
    /// A service for these apps.
    pub fn new(apps: Apps, store: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        tell_doors(&apps, clock.now());
        Self {
            stats: Arc::new(Stats::new(&apps, clock.now())),
            queues: Arc::new(Queues::new()),
            hub: Arc::default(),
            apps: Arc::new(ServedApps::new(&apps)),
            store,
            clock,
        }
    }

    /// Serves these apps from now on, in place of all others. Calls that run end with what they began with.
    ///
    /// What is kept of an app that goes stays in the store; its watches end, as those of an unknown app.
    pub fn replace_apps(&self, apps: &Apps) {
        tell_doors(apps, self.clock.now());
        // First, so that no call of a new app goes uncounted.
        self.stats.include(apps);
        let before = self.apps.replace(apps);
        before.keys().filter(|name| apps.find(name.as_str()).is_none()).for_each(|gone| self.hub.ring_all(gone));
    }

    /// The app of that name, as it is served now; an empty name means `default`.
    pub fn app(&self, name: &str) -> Result<Arc<Served>, Error> {
        self.apps.find(name).ok_or(Error::AppUnknown)
    }

    /// The app of that name, for what only a store can do.
    fn stored_app(&self, name: &str, what: &'static str) -> Result<Arc<Served>, Error> {
        let app = self.app(name)?;
        match app.kind {
            Kind::Stored => Ok(app),
            Kind::Cookie(_) => Err(Error::NotInCookieKind(what)),
        }
    }

    /// The store underneath.
    pub const fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// What every verb needs to know of its call.
    fn call<'s>(&'s self, app: &'s Served, cookie_name: Option<&str>) -> Result<Call<'s>, Error> {
        let keys = app.keys.as_ref().ok_or(Error::NullSession(NullReason::NoKey))?;
        Ok(Call { app, keys, cookie: cookie_of(app, cookie_name)?, now: self.clock.now(), stats: &self.stats })
    }
}

/// The app's cookie, under the name that the request gives to it, if it does.
fn cookie_of<'s>(app: &'s App, name: Option<&str>) -> Result<Cow<'s, cookie::Template>, Error> {
    let renamed = |name| app.cookie.named(name).map(Cow::Owned).map_err(Error::CookieName);
    name.map_or(Ok(Cow::Borrowed(&app.cookie)), renamed)
}

/// Says which doors for old sessions stand open.
fn tell_doors(apps: &Apps, now: Time) {
    for (app, accept) in apps.iter().filter_map(|app| Some((&app.name, app.accept.as_ref()?))) {
        let doors = accept.doors().map(Door::as_str).collect::<Vec<_>>().join(", ");
        let until = moment::text(accept.until);
        if now < accept.until {
            info!(%app, doors, until, "sessions from before may come in");
        } else {
            info!(%app, doors, until, "the doors for sessions from before are shut; their settings can go");
        }
    }
}

/// One call on behalf of an app that has keys: at one time, with one cookie.
struct Call<'s> {
    app: &'s Served,
    keys: &'s KeyRing,
    cookie: Cow<'s, cookie::Template>,
    now: Time,
    stats: &'s Stats,
}

impl Call<'_> {
    /// What was issued, unless it does not verify, which is counted.
    fn verified<T>(&self, opened: Result<T, Rejected>) -> Result<T, Rejected> {
        opened.inspect_err(|reason| self.stats.rejected(&self.app.name, *reason))
    }

    fn place(&self, bearer: Bearer) -> Place {
        Place { app: self.app.name.clone(), id: bearer.id(&self.app.name) }
    }
}
