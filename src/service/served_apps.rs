//! The apps as they are served: replaced all at once while calls run.
//!
//! A call looks its app up once, and keeps that app however often the apps are replaced meanwhile.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::{App, Apps, FlaskSession};
use crate::store::FlaskSessionReader;
use crate::types::AppName;

/// An app as it is served, with the store of its Flask-Session migration source.
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
    let serve = |app: &Arc<App>| {
        let flask_sessions =
            flask_session_source(app).map(|source| flask_sessions(source, before.get(app.name.as_str())));
        (app.name.clone(), Arc::new(ServedApp { app: Arc::clone(app), flask_sessions }))
    };
    apps.iter().map(serve).collect()
}

/// The Flask-Session store of a migration source: the one from before, if its settings are the same.
fn flask_sessions(source: &FlaskSession, before: Option<&Arc<ServedApp>>) -> Arc<FlaskSessionReader> {
    let settings = |source: &FlaskSession| (source.url.clone(), source.key_prefix.clone(), source.timeout);
    let is_same = |old: &FlaskSession| settings(old) == settings(source);
    let unchanged = before.filter(|before| flask_session_source(before).is_some_and(is_same));
    let open = || FlaskSessionReader::new(source).expect("the address was checked with the settings");
    unchanged.and_then(|before| before.flask_sessions.clone()).unwrap_or_else(|| Arc::new(open()))
}

fn flask_session_source(app: &App) -> Option<&FlaskSession> {
    app.migration.as_ref()?.flask_session.as_ref()
}
