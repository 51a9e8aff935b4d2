//! The apps as they are served: replaced all at once while calls run.
//!
//! A call looks its app up once, and keeps that app however often the apps are replaced meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Error, Service};
use crate::app::{App, Apps, LegacyRedis, LegacyRedisAccess, MigrationSource};
use crate::store::LegacyReader;
use crate::types::AppName;

/// An app as it is served, with the readers of those migration sources that have a Redis.
#[derive(Debug)]
pub struct ServedApp {
    app: Arc<App>,
    legacy_readers: BTreeMap<MigrationSource, LegacyReader>,
}

impl ServedApp {
    /// Returns the reader of a migration source; `None` if the app does not have the source.
    pub(super) fn legacy_reader(&self, source: MigrationSource) -> Option<&LegacyReader> {
        self.legacy_readers.get(&source)
    }
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

impl Service {
    /// Returns the app of that name as it is served now; an empty name means `default`.
    pub fn app(&self, name: &str) -> Result<Arc<ServedApp>, Error> {
        let name = if name.is_empty() { AppName::DEFAULT } else { name };
        self.apps.0.load().get(name).cloned().ok_or(Error::AppUnknown)
    }
}

fn serve(apps: &Apps, before: &ByName) -> ByName {
    let mut readers = Readers::new();
    for app in before.values() {
        readers.extend(
            legacy_redis(app).filter_map(|(source, redis)| Some((&redis.access, app.legacy_reader(source)?.clone()))),
        );
    }
    let mut served = ByName::new();
    for app in apps.iter() {
        let legacy_readers =
            legacy_redis(app).map(|(source, redis)| (source, legacy_reader(source, redis, &mut readers)));
        let legacy_readers = legacy_readers.collect();
        served.insert(app.name.clone(), Arc::new(ServedApp { app: Arc::clone(app), legacy_readers }));
    }
    served
}

/// A reader for each Redis. Its connections are kept, and all apps share them: there may be hundreds.
type Readers<'a> = HashMap<&'a LegacyRedisAccess, LegacyReader>;

/// Returns the reader of a migration source.
fn legacy_reader<'a>(source: MigrationSource, redis: &'a LegacyRedis, readers: &mut Readers<'a>) -> LegacyReader {
    let open = || LegacyReader::new(source, redis).expect("the settings were checked");
    readers.entry(&redis.access).or_insert_with(open).for_source(source, &redis.key_prefix)
}

/// Returns the migration sources of an app that have a Redis.
fn legacy_redis(app: &App) -> impl Iterator<Item = (MigrationSource, &LegacyRedis)> {
    let migration = app.migration.iter();
    migration.flat_map(|migration| migration.sources().filter_map(|source| Some((source, migration.redis(source)?))))
}
