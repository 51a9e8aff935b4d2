//! Migration: an app imports the sessions of another session library for a while.

use std::fmt;
use std::time::Duration;

use crate::cookie;
use crate::flask::Signer;
use crate::flask::flask_session::SidKey;
use crate::types::{Secret, Time};

/// The migration of an app. It has at least one source.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The time from which nothing is imported any more.
    pub until: Time,
    /// Flask's signed cookies.
    pub flask_cookie: Option<FlaskCookie>,
    /// The sessions that Flask-Session keeps in Redis.
    pub flask_session: Option<FlaskSession>,
}

impl Migration {
    /// Returns the sources that the app has.
    pub fn sources(&self) -> impl Iterator<Item = MigrationSource> {
        let has = |source: &MigrationSource| match source {
            MigrationSource::FlaskCookie => self.flask_cookie.is_some(),
            MigrationSource::FlaskSession => self.flask_session.is_some(),
        };
        MigrationSource::ALL.into_iter().filter(has)
    }

    /// Returns the cookie name of a source. `None`: the name of the app's cookie.
    pub fn cookie_name(&self, source: MigrationSource) -> Option<&cookie::Name> {
        match source {
            MigrationSource::FlaskCookie => self.flask_cookie.as_ref()?.cookie_name.as_ref(),
            MigrationSource::FlaskSession => self.flask_session.as_ref()?.cookie_name.as_ref(),
        }
    }
}

/// Flask's own sessions, which are wholly in their cookies.
#[derive(Clone, Debug)]
pub struct FlaskCookie {
    /// Checks the cookies with the application's keys, salt and digest.
    pub signer: Signer,
    /// Flask's `PERMANENT_SESSION_LIFETIME`: an older cookie is not imported. Flask applies it to every cookie.
    pub lifetime: Duration,
    /// `None`: the name of the app's cookie.
    pub cookie_name: Option<cookie::Name>,
}

/// Flask-Session's sessions: the cookie holds the id, Redis holds the record.
#[derive(Clone, Debug)]
pub struct FlaskSession {
    /// The address of its Redis. It may hold a password.
    pub url: Secret,
    /// Flask-Session's `SESSION_KEY_PREFIX`.
    pub key_prefix: Box<str>,
    /// The longest that one read may take.
    pub timeout: Duration,
    /// The keys that sign the ids. Empty: ids are not signed.
    pub signer_keys: Box<[SidKey]>,
    /// `None`: the name of the app's cookie.
    pub cookie_name: Option<cookie::Name>,
}

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
