//! The sources of legacy sessions.

use std::fmt;

/// Where a legacy session is imported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MigrationSource {
    /// Flask's signed cookie.
    FlaskCookie,
    /// A record of Flask-Session in Redis, whose id is in the cookie.
    FlaskSession,
}

impl MigrationSource {
    /// All sources.
    pub const ALL: [Self; 2] = [Self::FlaskCookie, Self::FlaskSession];

    /// Returns the name that the settings use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlaskCookie => "flask_cookie",
            Self::FlaskSession => "flask_session",
        }
    }

    /// Returns the only source that a cookie with this value can belong to.
    ///
    /// Flask's cookie has at least two dots. The id of a session has none, or one before its signature.
    pub fn of(value: &str) -> Self {
        if value.bytes().filter(|byte| *byte == b'.').nth(1).is_some() { Self::FlaskCookie } else { Self::FlaskSession }
    }
}

impl fmt::Display for MigrationSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
