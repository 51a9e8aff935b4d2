//! The settings of reloading.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{SettingError, duration};

/// The `[reload]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadSettings {
    /// How often the files of the configuration are looked at. 0 s, or 10 ms to 1 hour. 0 s: only SIGHUP reloads.
    ///
    /// A change counts when two looks in a row have found it, so that a half-written file is not loaded.
    #[serde(with = "duration")]
    pub poll_interval: Duration,
}

impl Default for ReloadSettings {
    fn default() -> Self {
        Self { poll_interval: Duration::from_secs(5) }
    }
}

impl ReloadSettings {
    /// Checks the values.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        if self.poll_interval.is_zero() || (SHORTEST..=LONGEST).contains(&self.poll_interval) {
            return Ok(());
        }
        let [value, least, most] = [self.poll_interval, SHORTEST, LONGEST].map(duration::text);
        Err(SettingError::new("poll_interval", format!("{value} is neither 0s nor between {least} and {most}")))
    }
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(60 * 60);
