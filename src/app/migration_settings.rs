//! The `[apps.<name>.migrate]` tables: how the sessions from before are recognised, and what is wrong with that.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::migration::{FlaskCookie, FlaskSession, Migration};
use crate::cookie;
use crate::flask::flask_session::SidKey;
use crate::flask::{DEFAULT_SALT, Digest, KeysError, Signer};
use crate::types::{Secret, Time, duration, secret, timestamp};

/// The `[apps.<name>.migrate]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MigrationSettings {
    /// When the doors shut by themselves: a date, whose first moment counts, or a date and time. With any of them needed.
    #[serde(with = "timestamp::option")]
    pub until: Option<Time>,
    /// Flask's own signed cookies.
    pub flask_cookie: FlaskCookieSettings,
    /// Flask-Session's sessions in Redis.
    pub flask_session: FlaskSessionSettings,
}

/// The `[apps.<name>.migrate.flask_cookie]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlaskCookieSettings {
    /// The Flask application's `SECRET_KEY`, then its `SECRET_KEY_FALLBACKS`. None: no door.
    #[serde(deserialize_with = "secret::list")]
    pub keys: Vec<Secret>,
    /// A file with one key a line instead of `keys`.
    pub keys_file: Option<PathBuf>,
    /// The salt, if a subclass of Flask's interface has another.
    pub salt: String,
    /// The digest, if a subclass of Flask's interface has another.
    pub digest: Digest,
    /// Flask's `PERMANENT_SESSION_LIFETIME`.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// Flask's `SESSION_COOKIE_NAME`. Empty: the app's.
    pub cookie_name: String,
}

impl Default for FlaskCookieSettings {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            keys_file: None,
            salt: DEFAULT_SALT.to_owned(),
            digest: Digest::default(),
            lifetime: 31 * DAY,
            cookie_name: String::new(),
        }
    }
}

/// The `[apps.<name>.migrate.flask_session]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlaskSessionSettings {
    /// Where Flask-Session's Redis is. None: no door.
    pub url: Option<Secret>,
    /// A file that holds the url, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// Flask-Session's `SESSION_KEY_PREFIX`.
    pub key_prefix: String,
    /// How long one look may take before the call is answered UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// With `SESSION_USE_SIGNER`: the Flask application's `SECRET_KEY`.
    #[serde(deserialize_with = "secret::list")]
    pub signer_keys: Vec<Secret>,
    /// A file with one key a line instead of `signer_keys`.
    pub signer_keys_file: Option<PathBuf>,
    /// Flask's `SESSION_COOKIE_NAME`. Empty: the app's.
    pub cookie_name: String,
}

impl Default for FlaskSessionSettings {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            key_prefix: "session:".to_owned(),
            timeout: Duration::from_secs(1),
            signer_keys: Vec::new(),
            signer_keys_file: None,
            cookie_name: String::new(),
        }
    }
}

impl MigrationSettings {
    /// Whether anything of it is set.
    pub(super) const fn is_set(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn build(&self) -> Result<Option<Migration>, MigrationError> {
        let (flask_cookie, flask_session) = (self.flask_cookie.build()?, self.flask_session.build()?);
        if flask_cookie.is_none() && flask_session.is_none() {
            return Ok(None);
        }
        let until = self.until.ok_or(MigrationError::Until)?;
        Ok(Some(Migration { until, flask_cookie, flask_session }))
    }
}

impl FlaskCookieSettings {
    fn build(&self) -> Result<Option<FlaskCookie>, MigrationError> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let keys = key_bytes("flask_cookie.keys", &self.keys)?;
        let signer = Signer::new(&keys, self.salt.as_bytes(), self.digest);
        let signer = signer.map_err(MigrationError::Keys)?;
        if !(MINUTE..=400 * DAY).contains(&self.lifetime) {
            return Err(MigrationError::Lifetime);
        }
        let cookie_name = cookie_name("flask_cookie.cookie_name", &self.cookie_name)?;
        Ok(Some(FlaskCookie { signer, lifetime: self.lifetime, cookie_name }))
    }
}

impl FlaskSessionSettings {
    fn build(&self) -> Result<Option<FlaskSession>, MigrationError> {
        let Some(url) = self.url.clone() else { return Ok(None) };
        let keys = key_bytes("flask_session.signer_keys", &self.signer_keys)?;
        Ok(Some(FlaskSession {
            url,
            key_prefix: self.key_prefix.as_str().into(),
            timeout: self.timeout,
            signer_keys: keys.iter().map(|key| SidKey::new(key)).collect(),
            cookie_name: cookie_name("flask_session.cookie_name", &self.cookie_name)?,
        }))
    }
}

/// What is wrong with the tables, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A door that would stand open for ever.
    #[error("migrate.until: it has to say when the doors shut, such as \"2027-01-31\"")]
    Until,
    /// Flask's keys.
    #[error("migrate.flask_cookie.keys: {0}")]
    Keys(#[source] KeysError),
    /// A key that cannot be read.
    #[error("migrate.{key}: a key after `base64:` is not base64")]
    KeyBytes {
        /// Which setting.
        key: &'static str,
    },
    /// A key of no bytes.
    #[error("migrate.{key}: a key is empty: anybody could sign with it")]
    EmptyKey {
        /// Which setting.
        key: &'static str,
    },
    /// Flask's lifetime.
    #[error("migrate.flask_cookie.lifetime: it has to be from 1m to 400d")]
    Lifetime,
    /// A cookie's name.
    #[error("migrate.{key}: {source}")]
    CookieName {
        /// Which setting.
        key: &'static str,
        /// What is wrong.
        source: cookie::TemplateError,
    },
}

impl MigrationError {
    /// The setting to look at, below the app's table.
    pub(super) fn key(&self) -> String {
        let key = match self {
            Self::Until => "until",
            Self::Keys(_) => "flask_cookie.keys",
            Self::Lifetime => "flask_cookie.lifetime",
            Self::KeyBytes { key } | Self::EmptyKey { key } | Self::CookieName { key, .. } => key,
        };
        format!("migrate.{key}")
    }
}

/// Keys as Python has them: text stands for its UTF-8 bytes, and bytes that are no text are written `base64:...`.
fn key_bytes(key: &'static str, secrets: &[Secret]) -> Result<Vec<Vec<u8>>, MigrationError> {
    let bytes = |secret: &Secret| match secret.expose().strip_prefix("base64:") {
        _ if secret.expose().is_empty() => Err(MigrationError::EmptyKey { key }),
        Some(text) => STANDARD.decode(text).map_err(|_| MigrationError::KeyBytes { key }),
        None => Ok(secret.expose().as_bytes().to_vec()),
    };
    secrets.iter().map(bytes).collect()
}

fn cookie_name(key: &'static str, name: &str) -> Result<Option<cookie::Name>, MigrationError> {
    if name.is_empty() {
        return Ok(None);
    }
    cookie::Name::parse(name).map(Some).map_err(|source| MigrationError::CookieName { key, source })
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
