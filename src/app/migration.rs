//! What an app accepts for a while of what its users had before: the doors that old sessions come in by.

use std::fmt;
use std::time::Duration;

use crate::cookie;
use crate::flask::Signer;
use crate::flask::flask_session::SidKey;
use crate::types::{Secret, Time};

/// The doors of an app, until they are shut.
#[derive(Clone, Debug)]
pub struct Migration {
    /// From when on nothing comes in any more.
    pub until: Time,
    /// For Flask's signed cookies.
    pub flask_cookie: Option<FlaskCookie>,
    /// For the sessions that Flask-Session keeps in Redis.
    pub flask_session: Option<FlaskSession>,
}

impl Migration {
    /// The doors that are there.
    pub fn sources(&self) -> impl Iterator<Item = MigrationSource> {
        let has = |source: &MigrationSource| match source {
            MigrationSource::FlaskCookie => self.flask_cookie.is_some(),
            MigrationSource::FlaskSession => self.flask_session.is_some(),
        };
        MigrationSource::ALL.into_iter().filter(has)
    }

    /// The name of a door's cookie, if it has one of its own.
    pub fn cookie_name(&self, source: MigrationSource) -> Option<&cookie::Name> {
        match source {
            MigrationSource::FlaskCookie => self.flask_cookie.as_ref()?.cookie_name.as_ref(),
            MigrationSource::FlaskSession => self.flask_session.as_ref()?.cookie_name.as_ref(),
        }
    }
}

/// Flask's own sessions: all of each is in its cookie.
#[derive(Clone, Debug)]
pub struct FlaskCookie {
    /// Its keys, salt and digest.
    pub signer: Signer,
    /// Flask's `PERMANENT_SESSION_LIFETIME`, to which it keeps every cookie.
    pub lifetime: Duration,
    /// The cookie's name, if it is not the app's.
    pub cookie_name: Option<cookie::Name>,
}

/// Flask-Session's sessions: a cookie holds the id, Redis the rest.
#[derive(Clone, Debug)]
pub struct FlaskSession {
    /// Where its Redis is.
    pub url: Secret,
    /// Flask-Session's `SESSION_KEY_PREFIX`.
    pub key_prefix: Box<str>,
    /// How long one look may take.
    pub timeout: Duration,
    /// What ids are signed with; none: they are not.
    pub signer_keys: Box<[SidKey]>,
    /// The cookie's name, if it is not the app's.
    pub cookie_name: Option<cookie::Name>,
}

/// Where an old session comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MigrationSource {
    /// As Flask's signed cookie.
    FlaskCookie,
    /// As the id of a session that Flask-Session keeps in Redis.
    FlaskSession,
}

impl MigrationSource {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::FlaskCookie, Self::FlaskSession];

    /// Its name, as in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlaskCookie => "flask_cookie",
            Self::FlaskSession => "flask_session",
        }
    }

    /// The one door that a cookie's value is shaped for.
    ///
    /// Flask's cookie has at least two dots, a session's id none, or one before its signature.
    pub fn of(value: &str) -> Self {
        if value.bytes().filter(|byte| *byte == b'.').nth(1).is_some() { Self::FlaskCookie } else { Self::FlaskSession }
    }
}

impl fmt::Display for MigrationSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
