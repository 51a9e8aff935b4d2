//! A configuration that was read and checked.

use std::collections::BTreeMap;
use std::path::Path;

use super::sources::Sources;
use super::{ConfigKey, Error, Problem, Settings, Source, WatchedFiles, apps, callers};
use crate::app::{self, Apps};
use crate::auth::Callers;
use crate::store;

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
        let mut problems = Vec::new();
        let store::Settings { redis, next, previous, .. } = &mut settings.store;
        let others = [("store.next.redis.url", next), ("store.previous.redis.url", previous)];
        let others = others.into_iter().filter_map(|(key, place)| Some((key, &mut place.as_mut()?.redis)));
        for (key, redis) in [("store.redis.url", redis)].into_iter().chain(others) {
            let Some(file) = &redis.url_file else { continue };
            match sources.read_url(&key.into(), file) {
                Ok(url) => redis.url = url,
                Err(problem) => problems.push(problem),
            }
        }
        let mut app_settings = settings.apps.clone();
        let mut collect = |error: Error| problems.extend(error.into_problems());
        let apps = apps::build(&mut app_settings, &sources).map_err(&mut collect).ok();
        let callers = callers::build(&settings, &sources).map_err(&mut collect).ok();
        problems.extend(table_problems(&settings, callers.as_ref(), &sources));
        match (apps, callers) {
            (Some(apps), Some(callers)) if problems.is_empty() => {
                Ok(Self { settings, apps, callers, app_settings, sources })
            }
            _ => Err(Error::of(problems)),
        }
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

/// Returns what is wrong in the other tables. The listeners can be checked only with right callers.
fn table_problems(settings: &Settings, callers: Option<&Callers>, sources: &Sources) -> Vec<Problem> {
    let Settings { server, admin, store, traces, metrics, audit, reload, .. } = settings;
    let listeners = callers.map(|callers| {
        let server_check = server.check(callers).map_err(|error| error.under("server"));
        [server_check, admin.check(server, callers).map_err(|error| error.under("admin"))]
    });
    let others = [
        store.check().map_err(|error| error.under("store")),
        traces.check().map_err(|error| error.under("traces")),
        metrics.check().map_err(|error| error.under("metrics")),
        audit.check().map_err(|error| error.under("audit")),
        reload.check().map_err(|error| error.under("reload")),
    ];
    let errors = listeners.into_iter().flatten().chain(others).filter_map(Result::err);
    errors.map(|error| sources.problem(error)).collect()
}
