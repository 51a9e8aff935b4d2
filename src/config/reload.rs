//! When a changed configuration is taken up, and what of it can be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::default_key::{self, DefaultKey};
use super::{ConfigKey, Loaded, Settings, WatchedFiles};
use crate::app::{App, Apps};
use crate::store;
use crate::token::{Key as SigningKey, KeyRing};
use crate::types::{AppName, duration};

/// The `[reload]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadSettings {
    /// How often the files that the configuration was read from are looked at. 0s: never, a SIGHUP reloads.
    ///
    /// A change counts once it has stood for two looks, so that no file is taken up half written. At most 1 hour.
    #[serde(with = "duration")]
    pub poll_interval: Duration,
}

impl Default for ReloadSettings {
    fn default() -> Self {
        Self { poll_interval: Duration::from_secs(5) }
    }
}

impl ReloadSettings {
    /// Says what is wrong, if anything is.
    pub(super) fn check(&self) -> Result<(), ReloadSettingsError> {
        let bounds = SHORTEST..=LONGEST;
        let is_right = self.poll_interval.is_zero() || bounds.contains(&self.poll_interval);
        if is_right { Ok(()) } else { Err(ReloadSettingsError(self.poll_interval)) }
    }
}

/// The interval is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("poll_interval: {} is neither 0s nor between {} and {}", duration::text(*.0), duration::text(SHORTEST), duration::text(LONGEST))]
pub(super) struct ReloadSettingsError(Duration);

/// A configuration that a process serves with.
#[derive(Debug)]
pub struct ActiveConfig {
    /// The configuration.
    pub loaded: Loaded,
    /// The apps of it, with their keys.
    pub apps: Apps,
    /// Where the key of the app `default` is from.
    pub key: DefaultKey,
}

/// What a new configuration means for the apps of an old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppChanges {
    /// Apps that were not there.
    pub added: Vec<AppName>,
    /// Apps that are there no more.
    pub removed: Vec<AppName>,
    /// Apps with other settings or other keys.
    pub changed: Vec<AppName>,
}

impl Loaded {
    /// The files that it was read from, as they were.
    pub const fn files(&self) -> &WatchedFiles {
        &self.files
    }

    /// The apps to serve in place of those `now`, on the store that the process was started with. Writes no key.
    pub fn apps_to_serve_after(
        &self,
        now: &ActiveConfig,
        started_with: &Settings,
    ) -> Result<(Apps, DefaultKey), default_key::Error> {
        if self.default_app_has_keys() {
            return Ok((self.apps.clone(), DefaultKey::Configured));
        }
        match started_with.store.kind {
            store::StoreKind::Embedded => {
                // Should it not be there, it may come back.
                self.files.watch(&default_key::path_in(started_with.data_folder()));
                let (ring, origin) = default_key::reopen(started_with.data_folder())?;
                Ok((self.with_default_keys(ring), origin))
            }
            store::StoreKind::Memory => {
                // A new one would log everybody out.
                let kept = || now.apps.find(AppName::DEFAULT)?.keys.clone();
                let ring = if now.key == DefaultKey::Ephemeral { kept() } else { None };
                Ok((self.with_default_keys(ring.unwrap_or_else(ephemeral)), DefaultKey::Ephemeral))
            }
            store::StoreKind::Redis => Ok((self.apps.clone(), DefaultKey::Missing)),
        }
    }

    /// The settings in which it differs from those that a process was started with, and that only a new one takes up.
    pub fn needs_restart(&self, started_with: &Settings) -> Vec<ConfigKey> {
        let tree = |settings: &Settings| {
            let mut tree = toml::Table::try_from(settings).expect("settings can be written as TOML");
            RELOADABLE.iter().for_each(|table| _ = tree.remove(*table));
            tree
        };
        let (mut differing, root) = (Vec::new(), ConfigKey::default());
        differences(&tree(started_with), &tree(&self.settings), &root, &mut differing);
        differing
    }
}

impl ActiveConfig {
    /// In which apps it differs from what was in force before.
    pub fn app_changes(&self, before: &Self) -> AppChanges {
        let missing = |here: &Apps, there: &Apps| {
            let missing = here.iter().filter(|app| there.find(app.name.as_str()).is_none());
            missing.map(|app| app.name.clone()).collect()
        };
        let differs = |app: &&Arc<App>| {
            let name = app.name.as_str();
            let Some(old) = before.apps.find(name) else { return false };
            // The key that the service itself keeps stands in no settings.
            old.key_ids() != app.key_ids() || before.loaded.whole.get(name) != self.loaded.whole.get(name)
        };
        AppChanges {
            added: missing(&self.apps, &before.apps),
            removed: missing(&before.apps, &self.apps),
            changed: self.apps.iter().filter(differs).map(|app| app.name.clone()).collect(),
        }
    }
}

/// A key for this process alone.
pub(super) fn ephemeral() -> KeyRing {
    KeyRing::parse(&[SigningKey::generate()]).expect("a generated key is a key")
}

/// The settings in which two trees differ, tables entered.
fn differences(one: &toml::Table, other: &toml::Table, at: &ConfigKey, found: &mut Vec<ConfigKey>) {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for name in names {
        let key = ConfigKey::new(at.names().iter().chain([name]));
        match (one.get(name), other.get(name)) {
            (Some(toml::Value::Table(one)), Some(toml::Value::Table(other))) => differences(one, other, &key, found),
            (one, other) if one != other => found.push(key),
            _ => {}
        }
    }
}

/// The tables that a running process takes up anew.
const RELOADABLE: [&str; 3] = ["apps", "callers", "reload"];

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(60 * 60);
