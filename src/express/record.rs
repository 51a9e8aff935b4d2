//! A record: the session as JSON, with the member `cookie`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::session::Entries;
use crate::types::{Time, timestamp};

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedRecord {
    /// JSON text by name, byte for byte as Node wrote it. Never `cookie`.
    pub entries: Entries,
    /// How long the browser keeps the cookie.
    pub lifetime: CookieLifetime,
    /// The end that was recorded at the last save. A use moves the end in Redis only.
    pub expire_time: Option<Time>,
}

/// The lifetime that express-session's member `cookie` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieLifetime {
    /// `maxAge` is null: the cookie ends with the browser.
    WithBrowser,
    /// It ends this long after each use; at least a second.
    Idle(Duration),
    /// It ends at this time.
    At(Time),
}

impl DecodedRecord {
    /// Reads a record; `None` if express-session could not go on with it, or a name is too long for [`Entries`].
    ///
    /// It has to be RFC 8259. `JSON.stringify` writes nothing else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut items = serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes).ok()?;
        let cookie = serde_json::from_str::<Cookie>(items.remove("cookie")?.get()).ok()?;
        if items.keys().any(|name| name.len() > Entries::MAX_NAME_BYTES) {
            return None;
        }
        let expire_time = match &cookie.expires {
            Value::Null | Value::Bool(false) => None,
            Value::String(text) => Some(parse_time(text)?),
            _ => return None,
        };
        let original_max_age = match &cookie.original_max_age {
            Value::Null | Value::Bool(false) => None,
            Value::Number(millis) => millis.as_f64(),
            _ => return None,
        };
        Some(Self {
            entries: Entries::pack(items.iter().map(|(name, json)| (name.as_str(), json.get().as_bytes()))),
            lifetime: lifetime(original_max_age, expire_time),
            expire_time,
        })
    }
}

/// Reads a time as JavaScript writes it: a year that is not 0 to 9999 has a sign and six digits.
fn parse_time(text: &str) -> Option<Time> {
    match (text.as_bytes(), text.get(7..)) {
        ([sign @ (b'+' | b'-'), year @ ..], Some(rest)) => {
            let is_year = year.iter().take(6).all(u8::is_ascii_digit);
            // What else there is has to be a time in any year.
            timestamp::parse(&format!("2000{rest}")).ok().filter(|_| is_year)?;
            Some(if *sign == b'+' { Time::MAX } else { Time::default() })
        }
        _ => timestamp::parse(text).ok(),
    }
}

/// The members of `cookie` that say when the session ends. The others are the app's settings here.
///
/// Both are `false` if the application has set `cookie.expires = false`, which means null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cookie {
    #[serde(default)]
    original_max_age: Value,
    #[serde(default)]
    expires: Value,
}

/// Returns the lifetime that express-session means by the two: each use begins `originalMaxAge` anew.
fn lifetime(original_max_age: Option<f64>, expire_time: Option<Time>) -> CookieLifetime {
    match (original_max_age, expire_time) {
        (_, None) => CookieLifetime::WithBrowser,
        (None, Some(time)) => CookieLifetime::At(time),
        (Some(millis), Some(_)) => {
            let idle_timeout = Duration::try_from_secs_f64(millis.max(0.0) / 1000.0).unwrap_or(Duration::MAX);
            CookieLifetime::Idle(idle_timeout.max(SECOND))
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_in_a_record_says_how_long_the_session_lives() {
        let noon = Time::from_seconds(1_795_694_400);
        let expires = r#""expires":"2026-11-26T12:00:00.000Z""#;
        let table = [
            (r#""originalMaxAge":null,"expires":null"#.to_owned(), CookieLifetime::WithBrowser),
            (r#""originalMaxAge":false,"expires":false"#.to_owned(), CookieLifetime::WithBrowser),
            (String::new(), CookieLifetime::WithBrowser),
            (format!(r#""originalMaxAge":90500,{expires}"#), CookieLifetime::Idle(Duration::from_millis(90_500))),
            (format!(r#""originalMaxAge":-5,{expires}"#), CookieLifetime::Idle(SECOND)),
            (format!(r#""originalMaxAge":1e300,{expires}"#), CookieLifetime::Idle(Duration::MAX)),
            (format!(r#""originalMaxAge":null,{expires}"#), CookieLifetime::At(noon)),
            // `new Date(253402300000000)`, which ends at 9999-12-31T23:46:40Z, after a use.
            (
                r#""originalMaxAge":251606605600000,"expires":"+010000-01-01T00:06:40.249Z""#.to_owned(),
                CookieLifetime::Idle(Duration::from_millis(251_606_605_600_000)),
            ),
            (
                r#""originalMaxAge":null,"expires":"+275760-09-13T00:00:00.000Z""#.to_owned(),
                CookieLifetime::At(Time::MAX),
            ),
            (
                r#""originalMaxAge":null,"expires":"-000001-01-01T00:00:00.000Z""#.to_owned(),
                CookieLifetime::At(Time::default()),
            ),
        ];

        for (cookie, lifetime) in table {
            let record = format!(r#"{{"cookie":{{{cookie}}},"n": 1 }}"#);
            let decoded = DecodedRecord::decode(record.as_bytes()).unwrap();
            assert_eq!(decoded.lifetime, lifetime, "{record}");
            assert_eq!(decoded.entries, Entries::pack([("n", b"1".as_slice())]), "{record}");
        }
    }

    #[test]
    fn a_record_without_a_cookie_is_refused() {
        for record in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"cookie":null}"#,
            r#"{"cookie":{"expires":"soon"}}"#,
            r#"{"cookie":{"expires":1}}"#,
            r#"{"cookie":{"expires":true}}"#,
            r#"{"cookie":{"originalMaxAge":"1"}}"#,
            r#"{"cookie":{},"n":NaN}"#,
            r#"{"cookie":{}} {}"#,
        ] {
            assert_eq!(DecodedRecord::decode(record.as_bytes()), None, "{record}");
        }
    }
}
