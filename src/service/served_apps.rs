//! The apps as they are served: replaced all at once while calls run.
//!
//! A call looks its app up once, and keeps what it found however often the apps are replaced meanwhile.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::{App, Apps, FlaskSession};
use crate::store::FlaskSessionReader;
use crate::types::AppName;

/// An app as it is served, with what its door for Flask-Session looks into.
#[derive(Debug)]
pub struct ServedApp {
    app: Arc<App>,
    pub(super) flask_sessions: Option<Arc<FlaskSessionReader>>,
}

impl Deref for ServedApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// All of them, by name.
pub(super) type ByName = BTreeMap<AppName, Arc<ServedApp>>;

/// The apps that are served now.
#[derive(Debug)]
pub(super) struct ServedApps(ArcSwap<ByName>);

impl ServedApps {
    /// These, for a start.
    pub(super) fn new(apps: &Apps) -> Self {
        Self(ArcSwap::from_pointee(served(apps, &ByName::new())))
    }

    /// The app of that name; an empty name means `default`.
    pub(super) fn find(&self, name: &str) -> Option<Arc<ServedApp>> {
        self.0.load().get(if name.is_empty() { AppName::DEFAULT } else { name }).cloned()
    }

    /// All that are served at this moment.
    pub(super) fn all(&self) -> Arc<ByName> {
        self.0.load_full()
    }

    /// Puts these in place of all others, and answers those.
    pub(super) fn replace(&self, apps: &Apps) -> Arc<ByName> {
        let next = served(apps, &self.0.load());
        self.0.swap(Arc::new(next))
    }
}

fn served(apps: &Apps, before: &ByName) -> ByName {
    let served = |app: &Arc<App>| {
        let flask_sessions = source(app).map(|source| flask_sessions(source, before.get(app.name.as_str())));
        (app.name.clone(), Arc::new(ServedApp { app: Arc::clone(app), flask_sessions }))
    };
    apps.iter().map(served).collect()
}

/// What a door looks into: what it looked into before, if that is the same.
fn flask_sessions(new: &FlaskSession, before: Option<&Arc<ServedApp>>) -> Arc<FlaskSessionReader> {
    let session_key = |source: &FlaskSession| (source.url.clone(), source.key_prefix.clone(), source.timeout);
    let known = before.filter(|before| source(before).is_some_and(|old| session_key(old) == session_key(new)));
    let open = || FlaskSessionReader::new(new).expect("the address was checked with the settings");
    known.and_then(|known| known.flask_sessions.clone()).unwrap_or_else(|| Arc::new(open()))
}

fn source(app: &App) -> Option<&FlaskSession> {
    app.migration.as_ref()?.flask_session.as_ref()
}
