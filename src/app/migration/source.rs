//! The sources of legacy sessions.

use std::fmt;

use crate::express;

/// Where a legacy session is imported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MigrationSource {
    /// Flask's signed cookie.
    FlaskCookie,
    /// A record of Flask-Session in Redis, whose id is in the cookie.
    FlaskSession,
    /// Django's signed cookie.
    DjangoCookie,
    /// A record of Django's sessions in Redis, whose session key is in the cookie.
    DjangoSession,
    /// A record of express-session in Redis, whose signed id is in the cookie.
    ExpressSession,
    /// A record of scs in Redis, whose token is in the cookie.
    Scs,
}

impl MigrationSource {
    /// All sources.
    pub const ALL: [Self; 6] = [
        Self::FlaskCookie,
        Self::FlaskSession,
        Self::DjangoCookie,
        Self::DjangoSession,
        Self::ExpressSession,
        Self::Scs,
    ];

    /// Returns the name that the settings use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlaskCookie => "flask_cookie",
            Self::FlaskSession => "flask_session",
            Self::DjangoCookie => "django_cookie",
            Self::DjangoSession => "django_session",
            Self::ExpressSession => "express_session",
            Self::Scs => "scs",
        }
    }

    /// Whether a cookie with this value can belong to the source, by its shape.
    ///
    /// The cookie of express-session begins with `s:`, its colon percent-encoded. Django's signed cookie has colons,
    /// Flask's at least two dots. The id of a session has none of them, or one dot before its signature.
    pub fn has_shape_of(self, value: &str) -> bool {
        if express::looks_like_cookie(value) {
            return self == Self::ExpressSession;
        }
        let has_colon = value.contains(':');
        let is_flask_cookie = !has_colon && value.bytes().filter(|byte| *byte == b'.').nth(1).is_some();
        match self {
            Self::ExpressSession => false,
            Self::FlaskCookie => is_flask_cookie,
            Self::DjangoCookie => has_colon,
            Self::FlaskSession | Self::DjangoSession | Self::Scs => !has_colon && !is_flask_cookie,
        }
    }
}

impl fmt::Display for MigrationSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
