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
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        // Without a level, `EnvFilter` reads a word as a module: `inof` would silence everything else without an error.
        if let Some(word) = parts.iter().find(|part| !part.contains(['=', '[']) && !is_level(part)) {
            return Err(LevelError((*word).to_owned()));
        }
        // Without the spaces, which `EnvFilter` refuses.
        let trimmed = parts.join(",");
        match EnvFilter::builder().parse(&trimmed) {
            Ok(_) => Ok(Self(trimmed)),
            Err(_) => Err(LevelError(text.to_owned())),
        }
    }

    /// h2 warns of each connection that breaks its rules, so any peer could fill the log. The metrics count these
    /// connections. Who wants the lines can name h2, or ask for all details.
    pub(super) fn filter(&self) -> EnvFilter {
        let filter = EnvFilter::builder().parse_lossy(&self.0);
        let is_decided = |part: &str| {
            let is_level = |level: &&str| level.eq_ignore_ascii_case(part);
            part.starts_with("h2") || ["off", "error", "debug", "trace"].iter().any(is_level)
        };
        match self.0.split(',').any(is_decided) {
            true => filter,
            false => filter.add_directive("h2=error".parse().expect("it is a directive")),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_shows_no_warning_of_h2_unless_it_names_it_or_all_details() {
        let has_directive = |text: &str| Level::parse(text).unwrap().filter().to_string().contains("h2=error");

        for text in ["info", "warn", "INFO,cloakroom::store=debug", "warn, cloakroom::cli=info"] {
            assert!(has_directive(text), "{text}");
        }
        for text in ["off", "error", "debug", "Trace", "info,h2=debug", "info, h2::proto=warn"] {
            assert!(!has_directive(text), "{text}");
        }
    }
}
