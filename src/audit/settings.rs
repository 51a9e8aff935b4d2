//! The settings of the audit log.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::types::SettingError;

/// The `[audit]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder for the files of the audit log; created if it is missing. `None` or empty: there is no audit log.
    ///
    /// The files have subjects, which are personal data.
    pub folder: Option<PathBuf>,
    /// How many days before today the log keeps. 1 to 3650. Older files are deleted.
    pub keep_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { folder: None, keep_days: 30 }
    }
}

impl Settings {
    /// Checks the values.
    pub fn check(&self) -> Result<(), SettingError> {
        if (1..=MAX_DAYS).contains(&self.keep_days) {
            return Ok(());
        }
        Err(SettingError::new("keep_days", format!("{} is not between 1 and {MAX_DAYS}", self.keep_days)))
    }

    /// Returns the folder. `None`: there is no audit log.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref().filter(|folder| !folder.as_os_str().is_empty())
    }
}

const MAX_DAYS: u32 = 3650;
