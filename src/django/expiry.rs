//! When a session expires, if the application has said so by `set_expiry`.

use std::time::Duration;

use crate::types::{Time, timestamp};

/// The expiry that the application set by `set_expiry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionExpiry {
    /// Nothing: the settings of the application decide.
    Default,
    /// The session ends with the browser.
    WithBrowser,
    /// The session ends when it was not used for this long; at least a second.
    Idle(Duration),
    /// The session ends at this time.
    At(Time),
}

impl SessionExpiry {
    /// Reads the JSON text of the entry; `None` if Django itself could not go on with it.
    pub(super) fn parse(json: &str) -> Option<Self> {
        match serde_json::from_str(json).ok()? {
            serde_json::Value::Null => Some(Self::Default),
            serde_json::Value::Number(number) => number.as_f64().map(Self::from_seconds),
            serde_json::Value::String(text) => parse_time(&text).map(Self::At),
            _ => None,
        }
    }

    fn from_seconds(seconds: f64) -> Self {
        if seconds == 0.0 {
            Self::WithBrowser
        } else if seconds < 0.0 {
            // It was over when it was set.
            Self::At(Time::default())
        } else {
            Self::Idle(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(SECOND))
        }
    }

    /// When a session ends that was last saved at `saved`. `None`: the settings of the application decide.
    pub fn end(self, saved: Time) -> Option<Time> {
        match self {
            Self::Default | Self::WithBrowser => None,
            Self::Idle(idle_timeout) => Some(saved + idle_timeout),
            Self::At(time) => Some(time),
        }
    }
}

/// Reads what Python's `datetime.isoformat` writes. Without a time zone it counts as UTC.
fn parse_time(text: &str) -> Option<Time> {
    timestamp::parse(text).or_else(|_| timestamp::parse(&format!("{text}Z"))).ok()
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_an_expiry_has_its_meaning() {
        let noon = Time::from_seconds(1_795_694_400);
        let table = [
            ("null", Some(SessionExpiry::Default)),
            ("0", Some(SessionExpiry::WithBrowser)),
            ("-0.0", Some(SessionExpiry::WithBrowser)),
            ("300", Some(SessionExpiry::Idle(Duration::from_secs(300)))),
            ("90.5", Some(SessionExpiry::Idle(Duration::from_millis(90_500)))),
            ("0.001", Some(SessionExpiry::Idle(SECOND))),
            ("1e300", Some(SessionExpiry::Idle(Duration::MAX))),
            ("-10", Some(SessionExpiry::At(Time::default()))),
            ("-1e300", Some(SessionExpiry::At(Time::default()))),
            (r#""2026-11-26T12:00:00""#, Some(SessionExpiry::At(noon))),
            (r#""2026-11-26T12:00:00+00:00""#, Some(SessionExpiry::At(noon))),
            (r#""2026-11-26T06:30:00-05:30""#, Some(SessionExpiry::At(noon))),
            (r#""2026-11-26T12:00:00.000123+00:00""#, Some(SessionExpiry::At(noon))),
            ("1e999", None),
            (r#""""#, None),
            (r#""tomorrow""#, None),
            ("true", None),
            ("[1]", None),
        ];

        for (json, expiry) in table {
            assert_eq!(SessionExpiry::parse(json), expiry, "{json}");
        }
    }
}
