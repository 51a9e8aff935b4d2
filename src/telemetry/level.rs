//! The filter of log events: a level, or levels by module, such as `info,cloakroom::store=debug`.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// A level, or levels by module, that has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Level(String);

impl Level {
    /// Parses a level, or levels by module that are separated by commas.
    pub fn parse(text: &str) -> Result<Self, LevelError> {
        let parts = || text.split(',').map(str::trim);
        // Without a level, `EnvFilter` reads a word as a module: `inof` would silence everything else without an error.
        if let Some(word) = parts().find(|part| !part.contains(['=', '[']) && !is_level(part)) {
            return Err(LevelError(word.to_owned()));
        }
        match EnvFilter::builder().parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(LevelError(text.to_owned())),
        }
    }

    pub(super) fn filter(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(&self.0)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for Level {
    type Error = LevelError;

    fn try_from(text: String) -> Result<Self, LevelError> {
        Self::parse(&text)
    }
}

impl From<Level> for String {
    fn from(level: Level) -> Self {
        level.0
    }
}

/// The text has a part that is not a level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level; write off, error, warn, info, debug or trace, or levels by module: info,h2=debug")]
pub struct LevelError(String);

fn is_level(text: &str) -> bool {
    ["off", "error", "warn", "info", "debug", "trace"].iter().any(|level| level.eq_ignore_ascii_case(text))
}
