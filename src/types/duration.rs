//! Durations in a configuration: `"30s"`, `"15m"`, `"12h"`, `"31d"`, and sums such as `"1h 30m"`.
//!
//! Refused: months and years, which have no fixed length, and a number without a unit.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serialize as _, Serializer};

/// Reads a duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    let has_variable_length = |word: &str| {
        matches!(word.trim_start_matches(|c: char| c.is_ascii_digit()), "M" | "y")
            || word.contains("month")
            || word.contains("year")
    };
    if text.split_whitespace().any(has_variable_length) {
        return Err(format!("`{text}`: months and years have no fixed length; write days, such as 30d"));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no duration; write one such as 30s, 15m, 12h or 31d"))
}

/// Writes a duration in the form that [`parse`] reads.
pub fn text(duration: Duration) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = duration.as_secs();
    let is_whole = seconds > 0 && duration.subsec_nanos() == 0;
    match units.iter().find(|(unit, _)| is_whole && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => humantime::format_duration(duration).to_string(),
    }
}

/// For `#[serde(with = "duration")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    source.deserialize_str(DurationVisitor)
}

/// For `#[serde(with = "duration")]`.
pub fn serialize<S: Serializer>(duration: &Duration, target: S) -> Result<S::Ok, S::Error> {
    text(*duration).serialize(target)
}

/// For `#[serde(with = "duration::option")]`.
pub mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Reads a duration; `None` if the setting is missing.
    pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<DurationText>::deserialize(source)?.map(|DurationText(duration)| duration))
    }

    /// Writes a duration, if there is one.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, target: S) -> Result<S::Ok, S::Error> {
        duration.map(DurationText).serialize(target)
    }

    #[derive(Deserialize, Serialize)]
    struct DurationText(#[serde(with = "super")] Duration);
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as \"30s\", \"15m\", \"12h\" or \"31d\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }
}
