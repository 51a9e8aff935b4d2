//! The settings of the store that the service uses.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::SettingError;

/// The `[store]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where sessions are kept: `embedded`, `redis` or `memory`.
    pub kind: StoreKind,
    /// The file of the embedded store.
    pub embedded: super::EmbeddedSettings,
    /// The connections to Redis.
    pub redis: super::RedisSettings,
    /// Where sessions will move to, for replicas that still create sessions in the store of this table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<SideSettings>,
    /// Where sessions move from. New ones are created in the store of this table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<SideSettings>,
}

/// The `[store.next]` or the `[store.previous]` table. Its keys are those of `[store]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SideSettings {
    /// Where the sessions are: `embedded` or `redis`.
    pub kind: StoreKind,
    /// The file of the embedded store.
    pub embedded: super::EmbeddedSettings,
    /// The connections to Redis.
    pub redis: super::RedisSettings,
}

impl Settings {
    /// Checks all values, those for other kinds of store too.
    pub fn check(&self) -> Result<(), SettingError> {
        self.embedded.check().map_err(|error| error.under("embedded"))?;
        self.redis.check().map_err(|error| error.under("redis"))?;
        let own = SideSettings::of(self);
        for (name, place) in [("next", &self.next), ("previous", &self.previous)] {
            let Some(place) = place else { continue };
            place.embedded.check().map_err(|error| error.under("embedded").under(name))?;
            place.redis.check().map_err(|error| error.under("redis").under(name))?;
            if own.kind == StoreKind::Memory {
                return Err(SettingError::new(name, OWN_IN_MEMORY));
            } else if place.kind == StoreKind::Memory {
                return Err(SettingError::new("kind", IN_MEMORY).under(name));
            } else if place.is_same_as(&own) {
                return Err(SettingError::new(name, SAME_PLACE));
            }
        }
        if self.next.is_some() && self.previous.is_some() {
            return Err(SettingError::new("next", NEXT_AND_PREVIOUS));
        }
        Ok(())
    }

    /// The folder with the files of the store; `None`: it has none.
    pub fn data_folder(&self) -> Option<&Path> {
        data_folder(self.kind, &self.embedded)
    }

    /// How long a start waits for files of the embedded store that another process has open. Zero if no store has files.
    pub fn lock_timeout(&self) -> Duration {
        let embedded = self.places().filter(|(_, place)| place.kind == StoreKind::Embedded);
        embedded.map(|(_, place)| place.embedded.lock_timeout).max().unwrap_or_default()
    }

    /// Returns the tables of the store and of the one that sessions move to or from, by their names.
    pub fn places(&self) -> impl Iterator<Item = (&'static str, SideSettings)> {
        let next = self.next.clone().map(|place| ("store.next", place));
        let previous = self.previous.clone().map(|place| ("store.previous", place));
        [("store", SideSettings::of(self))].into_iter().chain(next).chain(previous)
    }
}

impl SideSettings {
    /// The store of the table `[store]` itself.
    pub(super) fn of(settings: &Settings) -> Self {
        let Settings { kind, embedded, redis, next: _, previous: _ } = settings;
        Self { kind: *kind, embedded: embedded.clone(), redis: redis.clone() }
    }

    /// The folder with the files of the store; `None`: it has none.
    pub fn data_folder(&self) -> Option<&Path> {
        data_folder(self.kind, &self.embedded)
    }

    /// Returns where the sessions are, for people.
    pub fn location(&self) -> String {
        match self.kind {
            StoreKind::Embedded => format!("in {}, on this disk", self.embedded.path.display()),
            StoreKind::Redis => "in Redis".to_owned(),
            StoreKind::Memory => "in memory: a restart loses them".to_owned(),
        }
    }

    /// Whether both name the same files, or the same keys of the same Redis. A second name of a Redis is noticed when it
    /// answers, that of a file is not.
    fn is_same_as(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            (StoreKind::Embedded, StoreKind::Embedded) => self.embedded.path == other.embedded.path,
            (StoreKind::Redis, StoreKind::Redis) => {
                let place = |settings: &super::RedisSettings| {
                    // The same url may be behind other Sentinels: they say where the primary is.
                    let sentinel = Some(&settings.sentinel).filter(|_| settings.mode == super::RedisMode::Sentinel);
                    let sentinel = sentinel.map(|sentinel| (sentinel.urls.clone(), sentinel.service_name.clone()));
                    (sentinel, settings.url.clone(), settings.url_file.clone(), settings.key_prefix.clone())
                };
                place(&self.redis) == place(&other.redis)
            }
            _ => false,
        }
    }
}

fn data_folder(kind: StoreKind, embedded: &super::EmbeddedSettings) -> Option<&Path> {
    match kind {
        StoreKind::Embedded => Some(&embedded.path),
        StoreKind::Redis | StoreKind::Memory => None,
    }
}

const NEXT_AND_PREVIOUS: &str = "only one of next and previous can be set: sessions move in one direction at a time";
const SAME_PLACE: &str = "it is the same place as [store]; set another path, url, service_name or key_prefix";
const IN_MEMORY: &str = "sessions cannot move to or from memory; set embedded or redis";
const OWN_IN_MEMORY: &str = "sessions cannot move to or from memory; set store.kind to embedded or redis";

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In a file of the service's own, for one process.
    #[default]
    Embedded,
    /// In Redis, which several replicas can share.
    Redis,
    /// In memory. A restart loses them.
    Memory,
}

impl StoreKind {
    /// Returns the name that the settings use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
            Self::Memory => "memory",
        }
    }

    /// Whether several replicas share the sessions: no replica can make the apps' keys, and all of them read the store.
    pub const fn is_shared(self) -> bool {
        match self {
            Self::Redis => true,
            Self::Embedded | Self::Memory => false,
        }
    }
}
