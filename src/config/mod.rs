//! The tree of settings: what it holds, where it is read from, and what is wrong with it.
//!
//! Weakest first: the defaults, a TOML file, the environment. Each floor owns its own table; here they
//! only come together. Nothing else reads the environment. What [`load()`] answers is checked as a whole:
//! nobody has to look at a setting twice.

mod callers;
pub mod default_key;
mod document;
mod effective;
mod environment;
mod error;
mod files;
mod key;
pub mod key_file;
mod load;
mod reload;
mod renamed;
mod strict;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use environment::caller_token;
pub use error::{Error, Problem, Source};
pub use files::WatchedFiles;
pub use key::ConfigKey;
pub use load::{Loaded, load, load_from, load_watched};
pub use reload::{ActiveConfig, AppChanges, ReloadSettings};

use crate::app;
use crate::types::AppName;
use crate::{auth, server, store, telemetry};

/// All settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where and how gRPC is served.
    pub server: server::Settings,
    /// Where operators are served.
    pub admin: server::AdminSettings,
    /// Where sessions lie.
    pub store: store::Settings,
    /// What is logged.
    pub log: telemetry::Settings,
    /// When a changed configuration is taken up.
    pub reload: ReloadSettings,
    /// Who may call, by name. Nobody: everybody.
    pub callers: BTreeMap<String, auth::CallerSettings>,
    /// The apps by name. `default` is always there.
    pub apps: BTreeMap<String, app::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: server::Settings::default(),
            admin: server::AdminSettings::default(),
            store: store::Settings::default(),
            log: telemetry::Settings::default(),
            reload: ReloadSettings::default(),
            callers: BTreeMap::new(),
            apps: BTreeMap::from([(AppName::DEFAULT.to_owned(), app::Settings::default())]),
        }
    }
}

impl Settings {
    /// The folder for what the service itself keeps on disk.
    pub fn data_folder(&self) -> &Path {
        &self.store.embedded.path
    }
}
