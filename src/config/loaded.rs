//! A configuration that was read and checked.

use std::collections::BTreeMap;
use std::path::Path;

use super::sources::Sources;
use super::{ConfigKey, Error, Settings, Source, WatchedFiles, apps, callers};
use crate::app::{self, Apps};
use crate::auth::Callers;

/// A configuration without an error.
#[derive(Debug)]
pub struct LoadedConfig {
    /// All settings.
    pub settings: Settings,
    /// The apps. One without a key has only null sessions.
    pub apps: Apps,
    /// The callers.
    pub callers: Callers,
    /// The settings of the apps, with the secrets that were read from files.
    pub(super) app_settings: BTreeMap<String, app::Settings>,
    pub(super) sources: Sources,
}

impl LoadedConfig {
    /// Checks settings that could be read, and builds the apps and the callers.
    pub(super) fn build(mut settings: Settings, sources: Sources) -> Result<Self, Error> {
        if let Some(file) = &settings.store.redis.url_file {
            settings.store.redis.url = sources.read_url(&"store.redis.url".into(), file)?;
        }
        let mut app_settings = settings.apps.clone();
        let apps = apps::build(&mut app_settings, &sources)?;
        let callers = callers::build(&settings, &apps, &sources)?;
        check_tables(&settings, &callers, &sources)?;
        Ok(Self { settings, apps, callers, app_settings, sources })
    }

    /// Returns the path of the configuration file. `None`: there is none.
    pub fn file(&self) -> Option<&Path> {
        self.sources.document.as_ref().map(|document| document.path())
    }

    /// Returns the files that it was read from, in the state in which they were read.
    pub const fn files(&self) -> &WatchedFiles {
        &self.sources.files
    }

    /// Returns where the value of a setting comes from.
    pub fn source_of(&self, key: &ConfigKey) -> Source {
        self.sources.source_of(key)
    }
}

fn check_tables(settings: &Settings, callers: &Callers, sources: &Sources) -> Result<(), Error> {
    let Settings { server, admin, store, reload, .. } = settings;
    let checks = [
        server.check(callers).map_err(|error| error.under("server")),
        admin.check(server, callers).map_err(|error| error.under("admin")),
        store.check().map_err(|error| error.under("store")),
        reload.check().map_err(|error| error.under("reload")),
    ];
    let errors = checks.into_iter().filter_map(Result::err);
    Error::unless_none(errors.map(|error| sources.problem(error)).collect())
}
