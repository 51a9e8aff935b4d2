//! The configuration that a process serves with, from the start and after each reload.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::default_key::{self, DefaultKey, KeySource};
use super::{ConfigKey, LoadedConfig, Settings};
use crate::app::{self, App, Apps};
use crate::store;
use crate::token::KeyRing;
use crate::types::AppName;

/// A configuration that a process serves with.
#[derive(Debug)]
pub struct ActiveConfig {
    /// The configuration. Its app `default` has a key, unless the store allows none.
    pub loaded: LoadedConfig,
    /// Where the key of the app `default` comes from.
    pub key: DefaultKey,
}

/// The changes of a new configuration in the apps of an old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppChanges {
    /// Apps that are new.
    pub added: Vec<AppName>,
    /// Apps that are gone.
    pub removed: Vec<AppName>,
    /// Apps with other settings or other keys.
    pub changed: Vec<AppName>,
}

impl LoadedConfig {
    /// Readies the data folder for the store to be opened, which makes the data file.
    ///
    /// If this is the first start, and the key of the app `default` has its place there, that writes a new key. Fails if
    /// only one of the key file and the data file is there, or the key in the folder of the store that sessions move from
    /// or to: a new one would log everybody out in silence.
    pub fn prepare_default_key(&self) -> Result<(), default_key::Error> {
        self.check_moved_key()?;
        let store = &self.settings.store;
        match self.default_key_source(store) {
            KeySource::Folder(folder) => default_key::prepare(folder, &store.embedded.data_file()),
            KeySource::Configuration | KeySource::Process | KeySource::None => Ok(()),
        }
    }

    /// Forgets the key of an interrupted first start, before sessions are imported: they have another one.
    pub fn discard_unfinished_key(&self) -> Result<(), default_key::Error> {
        self.settings.store.data_folder().map_or(Ok(()), default_key::discard_unfinished)
    }

    /// Makes this the configuration to start with. The store has to be open, after [`Self::prepare_default_key()`].
    ///
    /// The app `default` gets a key, if it has none and the store allows it.
    pub fn activate(self) -> Result<ActiveConfig, default_key::Error> {
        let (store, files) = (self.settings.store.clone(), self.files().clone());
        let open = |folder: &Path| {
            let opened = default_key::open(folder)?;
            files.watch(&default_key::path_in(folder));
            Ok(opened)
        };
        self.with_default_key(&store, open, default_key::generate)
    }

    /// Makes this the configuration after `active`, on the store that the process was started with. Creates no file.
    pub fn activate_after(
        self,
        active: &ActiveConfig,
        store: &store::Settings,
    ) -> Result<ActiveConfig, default_key::Error> {
        let files = self.files().clone();
        let reopen = |folder: &Path| {
            // Watched even if it is missing, because it may be restored.
            files.watch(&default_key::path_in(folder));
            default_key::reopen(folder)
        };
        // A new key would log everybody out.
        let same_key = || active.process_key().unwrap_or_else(default_key::generate);
        self.with_default_key(store, reopen, same_key)
    }

    /// Returns the apps with the keys that exist by now. Creates nothing.
    pub fn apps_as_served(&self) -> Result<Apps, default_key::Error> {
        let keys = match self.default_key_source(&self.settings.store) {
            KeySource::Folder(folder) => default_key::find(folder)?,
            KeySource::Configuration | KeySource::Process | KeySource::None => None,
        };
        Ok(keys.map_or_else(|| self.apps.clone(), |keys| self.apps_with_default_key(&keys)))
    }

    /// Checks that the key of the app `default`, if it is in the data folder, fits what else is there. Creates nothing.
    pub fn check_default_key(&self) -> Result<(), default_key::Error> {
        let store = &self.settings.store;
        match self.default_key_source(store) {
            KeySource::Folder(folder) => default_key::check_pair(folder, &store.embedded.data_file())?,
            KeySource::Configuration | KeySource::Process | KeySource::None => return Ok(()),
        };
        self.check_moved_key()
    }

    /// Checks that no start makes a key for the app `default` that its sessions in the store that they move from or to do
    /// not have. Creates nothing.
    pub fn check_moved_key(&self) -> Result<(), default_key::Error> {
        let store = &self.settings.store;
        let KeySource::Folder(folder) = self.default_key_source(store) else { return Ok(()) };
        for (_, place) in store.places() {
            if let Some(other) = place.data_folder() {
                default_key::check_other(folder, &store.embedded.data_file(), other)?;
            }
        }
        Ok(())
    }

    /// Returns the apps that a service would serve without a key.
    pub fn keyless_apps(&self) -> impl Iterator<Item = &Arc<App>> {
        let source = self.default_key_source(&self.settings.store);
        let has_default_key = matches!(source, KeySource::Folder(_) | KeySource::Process);
        let gets_key = move |app: &App| has_default_key && app.name.as_str() == AppName::DEFAULT;
        self.apps.iter().filter(move |app| !app.has_keys() && !gets_key(app))
    }

    /// Gives the app `default` a key, if it has none: from the data folder or of this process alone, by the store.
    fn with_default_key(
        mut self,
        store: &store::Settings,
        from_folder: impl FnOnce(&Path) -> Result<(KeyRing, DefaultKey), default_key::Error>,
        of_process: impl FnOnce() -> KeyRing,
    ) -> Result<ActiveConfig, default_key::Error> {
        let (keys, key) = match self.default_key_source(store) {
            KeySource::Configuration => (None, DefaultKey::Configured),
            KeySource::None => (None, DefaultKey::Missing),
            KeySource::Folder(folder) => {
                let (keys, key) = from_folder(folder)?;
                (Some(keys), key)
            }
            KeySource::Process => (Some(of_process()), DefaultKey::Ephemeral),
        };
        if let Some(keys) = keys {
            self.apps = self.apps_with_default_key(&keys);
        }
        Ok(ActiveConfig { loaded: self, key })
    }

    /// Returns where the app `default` gets its key from, on this store.
    ///
    /// An app of kind `cookie` never gets a key by itself: its key is that of its Flask application. One of kind
    /// `external` needs none.
    pub(super) fn default_key_source<'s>(&self, store: &'s store::Settings) -> KeySource<'s> {
        let needs_key = |app: &App| !app.has_keys() && matches!(app.kind, app::Kind::Stored);
        match store.data_folder() {
            _ if self.apps.find(AppName::DEFAULT).is_some_and(|app| !needs_key(app)) => KeySource::Configuration,
            _ if store.kind.is_shared() => KeySource::None,
            Some(folder) => KeySource::Folder(folder),
            None => KeySource::Process,
        }
    }

    fn apps_with_default_key(&self, keys: &KeyRing) -> Apps {
        let with_key = |app: &Arc<App>| match app.name.as_str() {
            AppName::DEFAULT => App { keys: Some(keys.clone()), ..App::clone(app) },
            _ => App::clone(app),
        };
        self.apps.iter().map(with_key).collect()
    }

    /// Returns the settings that differ from those that a process was started with and that need a restart.
    pub fn needs_restart(&self, started_with: &Settings) -> Vec<ConfigKey> {
        let tree = |settings: &Settings| {
            let mut tree = toml::Table::try_from(settings).expect("settings can be written as TOML");
            RELOADABLE.iter().for_each(|table| _ = tree.remove(*table));
            for (table, place) in settings.store.places() {
                if place.redis.url_file.is_some() {
                    // The store reads the file again for each connection.
                    let store = table.split('.').try_fold(&mut tree, |tree, name| tree.get_mut(name)?.as_table_mut());
                    let redis = store.and_then(|store| store.get_mut("redis")).and_then(toml::Value::as_table_mut);
                    redis.map(|redis| redis.remove("url"));
                }
            }
            tree
        };
        let mut changed = Vec::new();
        add_changed(&mut changed, &ConfigKey::default(), &tree(started_with), &tree(&self.settings));
        changed
    }
}

impl ActiveConfig {
    /// Compares the apps with those of the configuration before.
    pub fn app_changes(&self, before: &Self) -> AppChanges {
        let (old_apps, new_apps) = (&before.loaded.apps, &self.loaded.apps);
        let missing_in = |apps: &Apps, others: &Apps| {
            let missing = others.iter().filter(|app| apps.find(app.name.as_str()).is_none());
            missing.map(|app| app.name.clone()).collect()
        };
        let has_changed = |app: &&Arc<App>| {
            let name = app.name.as_str();
            let Some(old) = old_apps.find(name) else { return false };
            // A key that the service itself makes is in no settings.
            old.key_ids() != app.key_ids() || before.loaded.app_settings.get(name) != self.loaded.app_settings.get(name)
        };
        AppChanges {
            added: missing_in(old_apps, new_apps),
            removed: missing_in(new_apps, old_apps),
            changed: new_apps.iter().filter(has_changed).map(|app| app.name.clone()).collect(),
        }
    }

    /// Returns the key of the app `default` that was made for this process alone. `None`: there is none.
    fn process_key(&self) -> Option<KeyRing> {
        let app = self.loaded.apps.find(AppName::DEFAULT).filter(|_| self.key == DefaultKey::Ephemeral)?;
        app.keys.clone()
    }
}

/// Adds the settings in which two tables differ, tables in them included.
fn add_changed(changed: &mut Vec<ConfigKey>, table: &ConfigKey, old: &toml::Table, new: &toml::Table) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let key = table.child(name);
        match (old.get(name), new.get(name)) {
            (Some(toml::Value::Table(old)), Some(toml::Value::Table(new))) => add_changed(changed, &key, old, new),
            (old, new) if old != new => changed.push(key),
            _ => {}
        }
    }
}

/// The tables that a running process can reload.
const RELOADABLE: [&str; 3] = ["apps", "callers", "reload"];
