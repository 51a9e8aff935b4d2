//! The apps as they are served: replaced all at once while calls run.
//!
//! A call looks its app up once, and keeps that app however often the apps are replaced meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::app::{App, Apps, FlaskSession};
use crate::store::FlaskSessionReader;
use crate::types::AppName;

/// An app as it is served, with the store of its Flask-Session migration source.
#[derive(Debug)]
pub struct ServedApp {
    app: Arc<App>,
    pub(super) flask_sessions: Option<FlaskSessionReader>,
}

impl Deref for ServedApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// The served apps by name.
pub(super) type ByName = BTreeMap<AppName, Arc<ServedApp>>;

/// The apps that are served now.
#[derive(Debug)]
pub(super) struct ServedApps(ArcSwap<ByName>);

impl ServedApps {
    pub(super) fn new(apps: &Apps) -> Self {
        Self(ArcSwap::from_pointee(serve(apps, &ByName::new())))
    }

    /// Returns the app of that name; an empty name means `default`.
    pub(super) fn find(&self, name: &str) -> Option<Arc<ServedApp>> {
        self.0.load().get(if name.is_empty() { AppName::DEFAULT } else { name }).cloned()
    }

    /// Returns all apps that are served at this moment.
    pub(super) fn all(&self) -> Arc<ByName> {
        self.0.load_full()
    }

    /// Replaces all apps. Returns those before.
    pub(super) fn replace(&self, apps: &Apps) -> Arc<ByName> {
        let next = serve(apps, &self.0.load());
        self.0.swap(Arc::new(next))
    }
}

fn serve(apps: &Apps, before: &ByName) -> ByName {
    let mut readers = Readers::new();
    for app in before.values() {
        readers.extend(flask_session_source(app).map(redis_of).zip(app.flask_sessions.clone()));
    }
    let mut served = ByName::new();
    for app in apps.iter() {
        let flask_sessions = flask_session_source(app).map(|source| flask_sessions(source, &mut readers));
        served.insert(app.name.clone(), Arc::new(ServedApp { app: Arc::clone(app), flask_sessions }));
    }
    served
}

/// A reader for each Redis. Its connections are kept, and all apps share them: there may be hundreds.
type Readers<'a> = HashMap<(&'a str, Duration), FlaskSessionReader>;

/// What decides whether two migration sources can share connections: the address, and the timeout.
fn redis_of(source: &FlaskSession) -> (&str, Duration) {
    (source.url.expose(), source.timeout)
}

/// Returns the reader of a migration source.
fn flask_sessions<'a>(source: &'a FlaskSession, readers: &mut Readers<'a>) -> FlaskSessionReader {
    let open = || FlaskSessionReader::new(source).expect("the address was checked with the settings");
    readers.entry(redis_of(source)).or_insert_with(open).with_key_prefix(&source.key_prefix)
}

fn flask_session_source(app: &App) -> Option<&FlaskSession> {
    app.migration.as_ref()?.flask_session.as_ref()
}
