//! Time spans in a configuration: `"30s"`, `"15m"`, `"12h"`, `"31d"`, and sums such as `"1h 30m"`.
//!
//! Months and years have no fixed length and are refused; so is a bare number, which says no unit.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serialize as _, Serializer};

/// Reads a time span.
pub fn parse(text: &str) -> Result<Duration, String> {
    let vague = |word: &str| {
        matches!(word.trim_start_matches(|c: char| c.is_ascii_digit()), "M" | "y")
            || word.contains("month")
            || word.contains("year")
    };
    if text.split_whitespace().any(vague) {
        return Err(format!("`{text}`: months and years have no fixed length; write days, such as 30d"));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no time span; write one such as 30s, 15m, 12h or 31d"))
}

/// Writes a time span as [`parse`] reads it.
pub fn text(span: Duration) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = span.as_secs();
    let whole = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit) && span.subsec_nanos() == 0);
    whole.map_or_else(
        || humantime::format_duration(span).to_string(),
        |(unit, name)| format!("{}{name}", seconds / unit),
    )
}

/// For `#[serde(with = "duration")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    source.deserialize_str(SpanVisitor)
}

/// For `#[serde(with = "duration")]`.
pub fn serialize<S: Serializer>(span: &Duration, target: S) -> Result<S::Ok, S::Error> {
    text(*span).serialize(target)
}

/// For `#[serde(with = "duration::option")]`: a time span that may be missing.
pub mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Reads a time span, if there is one.
    pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Span>::deserialize(source)?.map(|Span(span)| span))
    }

    /// Writes a time span, if there is one.
    pub fn serialize<S: Serializer>(span: &Option<Duration>, target: S) -> Result<S::Ok, S::Error> {
        span.map(Span).serialize(target)
    }

    #[derive(Deserialize, Serialize)]
    struct Span(#[serde(with = "super")] Duration);
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time span with its unit, such as \"30s\", \"15m\", \"12h\" or \"31d\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }
}
