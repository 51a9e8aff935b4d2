//! Times in a configuration: `"2027-01-31"`, `"2027-01-31T18:00:00Z"`, `"2027-01-31T19:00:00+01:00"` (RFC 3339).
//!
//! A date alone means midnight UTC at its start.

use std::time::{Duration, UNIX_EPOCH};

use crate::types::Time;

/// Reads a date or a time.
pub fn parse(text: &str) -> Result<Time, String> {
    parse_time(text)
        .ok_or_else(|| format!("`{text}` is no date or time; write one such as 2027-01-31 or 2027-01-31T18:00:00Z"))
}

/// Writes a time in the form that [`parse`] reads. Times after the year 9999 are cut to its end.
pub fn text(time: Time) -> String {
    humantime::format_rfc3339_millis(time.min(LAST).into()).to_string()
}

/// 9999-12-31T23:59:59Z. RFC 3339 has no later year.
const LAST: Time = Time::from_seconds(253_402_300_799);

/// For `#[serde(with = "timestamp::option")]`.
pub mod option {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use crate::types::Time;

    /// Reads a time; `None` if the setting is missing.
    pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Time>, D::Error> {
        Ok(Option::<TimeText>::deserialize(source)?.map(|TimeText(time)| time))
    }

    /// Writes a time, if there is one.
    pub fn serialize<S: Serializer>(time: &Option<Time>, target: S) -> Result<S::Ok, S::Error> {
        time.map(super::text).serialize(target)
    }

    struct TimeText(Time);

    impl<'de> Deserialize<'de> for TimeText {
        fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
            source.deserialize_str(TimeVisitor)
        }
    }

    struct TimeVisitor;

    impl Visitor<'_> for TimeVisitor {
        type Value = TimeText;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a date or time in quotes, such as \"2027-01-31\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            super::parse(text).map(TimeText).map_err(E::custom)
        }
    }
}

fn parse_time(text: &str) -> Option<Time> {
    if text.len() == "2027-01-31".len() {
        return parse_utc(&format!("{text}T00:00:00Z"));
    }
    let Some(sign) = text.rfind(['+', '-']).filter(|sign| *sign > "2027-01-31".len()) else { return parse_utc(text) };
    let (local, offset) = text.split_at(sign);
    let digits = offset.get(1..)?.split_once(':');
    let (hours, minutes) = digits.filter(|(hours, minutes)| hours.len() + minutes.len() == 4)?;
    let (hours, minutes) = (hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?);
    let offset = (hours < 24 && minutes < 60).then(|| Duration::from_secs(hours * 3600 + minutes * 60))?;
    let local = parse_utc(&format!("{local}Z"))?;
    Some(if text.as_bytes()[sign] == b'+' { local.before(offset) } else { local + offset })
}

fn parse_utc(text: &str) -> Option<Time> {
    let time = humantime::parse_rfc3339(text).ok()?;
    Some(Time::default() + time.duration_since(UNIX_EPOCH).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_format_does_not_have_is_cut() {
        assert_eq!(text(Time::MAX), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn dates_and_times_in_any_time_zone_are_read() {
        let table = [
            ("2027-01-31", Some(1_801_353_600_000)),
            ("2027-01-31T18:00:00Z", Some(1_801_418_400_000)),
            ("2027-01-31T19:00:00+01:00", Some(1_801_418_400_000)),
            ("2027-01-31T12:30:00.5-05:30", Some(1_801_418_400_500)),
            ("2027-02-30", None),
            ("31.01.2027", None),
            ("2027-01-31 at six", None),
            ("2027-01-31T19:00:00+1:00", None),
            ("soon", None),
        ];

        for (text, millis) in table {
            assert_eq!(parse(text).ok(), millis.map(Time::from_millis), "{text}");
        }
        assert_eq!(parse(&text(Time::from_millis(1_801_418_400_500))), Ok(Time::from_millis(1_801_418_400_500)));
    }
}
