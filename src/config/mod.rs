//! The configuration: its sources, its settings, and what is wrong with them.
//!
//! The weakest source first: the defaults, a TOML file, the environment. Each module owns its own table; this one puts
//! them together. Nothing else reads the environment. What [`load()`] returns has been checked as a whole, so that no
//! other module has to check a setting again.

mod active;
mod apps;
mod callers;
pub mod default_key;
mod document;
mod effective;
mod environment;
mod error;
mod files;
mod load;
mod loaded;
mod named_files;
mod reload;
mod renamed;
mod secret_files;
mod sources;
mod strict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use active::{ActiveConfig, AppChanges};
pub use environment::caller_token;
pub use error::{Error, Problem, Source};
pub use files::WatchedFiles;
pub use load::{load, load_again, load_from, load_listeners};
pub use loaded::LoadedConfig;
pub use named_files::NamedFile;
pub use reload::ReloadSettings;

pub use crate::types::ConfigKey;

use crate::types::AppName;
use crate::{app, audit, auth, otlp, server, store, telemetry};

/// All settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The server for frontends.
    pub server: server::Settings,
    /// The listener for operators.
    pub admin: server::AdminSettings,
    /// Where sessions are kept.
    pub store: store::Settings,
    /// The lines that are logged, and their format.
    pub log: telemetry::Settings,
    /// Where spans are sent.
    pub traces: otlp::TracesSettings,
    /// Where metrics are sent, beside the page that has them.
    pub metrics: otlp::MetricsSettings,
    /// The log of sessions that ended.
    pub audit: audit::Settings,
    /// How a running process takes up changes.
    pub reload: ReloadSettings,
    /// The programs that may call, by name. Empty: every program may.
    pub callers: BTreeMap<String, auth::CallerSettings>,
    /// The apps by name. A loaded configuration always has the app `default`.
    pub apps: BTreeMap<String, app::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: server::Settings::default(),
            admin: server::AdminSettings::default(),
            store: store::Settings::default(),
            log: telemetry::Settings::default(),
            traces: otlp::TracesSettings::default(),
            metrics: otlp::MetricsSettings::default(),
            audit: audit::Settings::default(),
            reload: ReloadSettings::default(),
            callers: BTreeMap::new(),
            apps: BTreeMap::from([(AppName::DEFAULT.to_owned(), app::Settings::default())]),
        }
    }
}
