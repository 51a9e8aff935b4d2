//! Texts in the output: escaped strings, and times for people and for scripts.

use std::time::Duration;

use prost_types::Timestamp;

use crate::grpc::wire::{EndReason, Outcome, Value, value};
use crate::types::{Time, counted};

/// Escapes a text as Rust does, apart from quotes, so that it cannot control a terminal.
pub(in crate::cli) fn printable(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' => escaped.push(c),
            c => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

/// Returns the JSON text of a value, or the number of its bytes if it is raw.
pub(super) fn value(value: &Value) -> String {
    match &value.kind {
        Some(value::Kind::Json(json)) => printable(json),
        Some(value::Kind::Raw(raw)) => format!("({})", counted(raw.len(), "byte", "bytes")),
        None => NONE.to_owned(),
    }
}

/// Returns a name such as `REVOKED`. `None` for a live session.
pub(in crate::cli) fn end_reason(reason: EndReason) -> Option<&'static str> {
    if reason == EndReason::Unspecified { None } else { reason.as_str_name().strip_prefix("END_REASON_") }
}

/// Returns `DELETED` or `GONE`.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    outcome.as_str_name().strip_prefix("OUTCOME_").unwrap_or_default()
}

pub(in crate::cli) fn time(timestamp: &Option<Timestamp>) -> Option<Time> {
    let timestamp = timestamp.as_ref()?;
    let seconds = Duration::from_secs(u64::try_from(timestamp.seconds).ok()?);
    Some(Time::default() + seconds + Duration::from_nanos(u64::try_from(timestamp.nanos).ok()?))
}

/// Returns a time for scripts, such as `2026-01-02T03:04:05.000Z`.
pub(in crate::cli) fn rfc3339(timestamp: &Option<Timestamp>) -> Option<String> {
    Some(humantime::format_rfc3339_millis(time(timestamp)?.into()).to_string())
}

/// Returns a time relative to now, such as `3m ago` or `in 30d`.
pub(super) fn relative(time: Option<Time>, now: Time) -> String {
    let Some(time) = time else { return NONE.to_owned() };
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = now.since(time).max(time.since(now)).as_secs();
    match units.iter().find(|(unit, _)| seconds >= *unit) {
        None => "now".to_owned(),
        Some((unit, name)) if time < now => format!("{}{name} ago", seconds / unit),
        Some((unit, name)) => format!("in {}{name}", seconds / unit),
    }
}

/// Returns a time for people, such as `2026-01-02T03:04:05Z (3m ago)`.
pub(in crate::cli) fn absolute(time: Option<Time>, now: Time) -> String {
    let Some(time) = time else { return NONE.to_owned() };
    let text = humantime::format_rfc3339_seconds(time.into());
    format!("{text} ({})", relative(Some(time), now))
}

/// Printed in place of a missing value.
pub(super) const NONE: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("curl \"8\"\u{1b}[2J\r\n\u{9b}31m\u{7f}"), r#"curl "8"\u{1b}[2J\r\n\u{9b}31m\u{7f}"#);
        assert_eq!(printable("abc\u{202e}cba\u{200b}"), r"abc\u{202e}cba\u{200b}");
        assert_eq!(printable("Zoë, 東京"), "Zoë, 東京");
    }

    #[test]
    fn times_are_relative_to_now() {
        let now = Time::from_millis(1_767_323_045_000);
        let at = |seconds: i64| time(&Some(Timestamp { seconds: 1_767_323_045 + seconds, nanos: 0 }));

        assert_eq!(relative(at(0), now), "now");
        assert_eq!(relative(at(-59), now), "59s ago");
        assert_eq!(relative(at(-3 * 60 - 5), now), "3m ago");
        assert_eq!(relative(at(7200), now), "in 2h");
        assert_eq!(relative(at(31 * 86_400), now), "in 31d");
        assert_eq!(relative(None, now), "-");
        assert_eq!(absolute(at(-60), now), "2026-01-02T03:03:05Z (1m ago)");
    }
}
