//! The error of a setting. Each module checks its own settings; `config` adds where the value comes from.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ConfigKey, duration};

/// A setting that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The setting, below the table that was checked. Empty: the table itself.
    pub key: ConfigKey,
    /// Other settings that cause the error. The first one that is set counts as its source if `key` is not set.
    pub causes: Vec<ConfigKey>,
    /// Never repeats a secret.
    pub message: String,
}

impl SettingError {
    /// An error of one setting.
    pub fn new(key: impl Into<ConfigKey>, message: impl fmt::Display) -> Self {
        Self { key: key.into(), causes: Vec::new(), message: message.to_string() }
    }

    /// Adds other settings that cause the error.
    #[must_use]
    pub fn caused_by(self, keys: &[&str]) -> Self {
        Self { causes: keys.iter().map(|key| ConfigKey::from(*key)).collect(), ..self }
    }

    /// The same error as the table above reports it, where the checked table is called `name`.
    #[must_use]
    pub fn under(self, name: &str) -> Self {
        let table = ConfigKey::new([name]);
        let causes = self.causes.into_iter().map(|key| table.join(key)).collect();
        Self { key: table.join(self.key), causes, message: self.message }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, message, .. } = self;
        if key.names().is_empty() { write!(f, "{message}") } else { write!(f, "{key}: {message}") }
    }
}

impl std::error::Error for SettingError {}

/// Checks that a duration is within bounds, and returns it.
pub fn check_duration(key: &str, value: Duration, bounds: RangeInclusive<Duration>) -> Result<Duration, SettingError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let [value, least, most] = [value, *bounds.start(), *bounds.end()].map(duration::text);
    Err(SettingError::new(key, format!("{value} is not between {least} and {most}")))
}
