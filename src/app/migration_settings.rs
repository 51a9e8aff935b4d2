//! The `[apps.<name>.migrate]` tables: where legacy sessions are imported from, and until when.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::migration::{FlaskCookie, FlaskSession, Migration};
use crate::cookie;
use crate::flask::flask_session::SidKey;
use crate::flask::{DEFAULT_SALT, Digest, Signer};
use crate::types::{Secret, SettingError, Time, duration, secret, timestamp};

/// The `[apps.<name>.migrate]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MigrationSettings {
    /// When the migration ends: a date, from its first moment (UTC), or an RFC 3339 time. Required with a source.
    #[serde(with = "timestamp::option")]
    pub until: Option<Time>,
    /// Flask's own signed cookies.
    pub flask_cookie: FlaskCookieSettings,
    /// The sessions that Flask-Session keeps in Redis.
    pub flask_session: FlaskSessionSettings,
}

/// The `[apps.<name>.migrate.flask_cookie]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlaskCookieSettings {
    /// The Flask application's `SECRET_KEY`, then its `SECRET_KEY_FALLBACKS`, newest first. Empty: no such source.
    ///
    /// Text as it is, or other bytes as `base64:...`.
    #[serde(deserialize_with = "secret::list")]
    pub keys: Vec<Secret>,
    /// A file with one key on each line, instead of `keys`.
    pub keys_file: Option<PathBuf>,
    /// The salt. Change it only if a subclass of `SecureCookieSessionInterface` does.
    pub salt: String,
    /// The digest. Change it only if a subclass of `SecureCookieSessionInterface` does.
    pub digest: Digest,
    /// Flask's `PERMANENT_SESSION_LIFETIME`, after which no cookie is imported. 1 minute to 400 days.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// Flask's `SESSION_COOKIE_NAME`. Empty: the name of the app's cookie.
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
    /// The address of Flask-Session's Redis, as in `[store.redis]`. Not set: no such source.
    pub url: Option<Secret>,
    /// A file that holds the url, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// Flask-Session's `SESSION_KEY_PREFIX`.
    pub key_prefix: String,
    /// How long one read may take before the call fails with UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// With `SESSION_USE_SIGNER`: the Flask application's `SECRET_KEY`, written as in `flask_cookie`.
    ///
    /// Without keys, signed ids are refused; with keys, unsigned ids are refused.
    #[serde(deserialize_with = "secret::list")]
    pub signer_keys: Vec<Secret>,
    /// A file with one key on each line, instead of `signer_keys`.
    pub signer_keys_file: Option<PathBuf>,
    /// Flask's `SESSION_COOKIE_NAME`. Empty: the name of the app's cookie.
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
    /// Builds the migration. `None` without a source.
    pub(super) fn build(&self) -> Result<Option<Migration>, SettingError> {
        let flask_cookie = self.flask_cookie.build().map_err(|error| error.under("flask_cookie"))?;
        let flask_session = self.flask_session.build().map_err(|error| error.under("flask_session"))?;
        if flask_cookie.is_none() && flask_session.is_none() {
            return Ok(None);
        }
        let until = self.until.ok_or_else(|| SettingError::new("until", NO_END))?;
        Ok(Some(Migration { until, flask_cookie, flask_session }))
    }
}

impl FlaskCookieSettings {
    fn build(&self) -> Result<Option<FlaskCookie>, SettingError> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let keys = key_bytes("keys", &self.keys)?;
        let signer = Signer::new(&keys, self.salt.as_bytes(), self.digest);
        let signer = signer.map_err(|error| SettingError::new("keys", error))?;
        if !(MINUTE..=400 * DAY).contains(&self.lifetime) {
            return Err(SettingError::new("lifetime", "it has to be from 1m to 400d"));
        }
        Ok(Some(FlaskCookie { signer, lifetime: self.lifetime, cookie_name: cookie_name(&self.cookie_name)? }))
    }
}

impl FlaskSessionSettings {
    fn build(&self) -> Result<Option<FlaskSession>, SettingError> {
        let Some(url) = self.url.clone() else { return Ok(None) };
        let keys = key_bytes("signer_keys", &self.signer_keys)?;
        Ok(Some(FlaskSession {
            url,
            key_prefix: self.key_prefix.as_str().into(),
            timeout: self.timeout,
            signer_keys: keys.iter().map(|key| SidKey::new(key)).collect(),
            cookie_name: cookie_name(&self.cookie_name)?,
        }))
    }
}

/// Returns the bytes of keys: text stands for its UTF-8 bytes, other bytes are written `base64:...`.
fn key_bytes(setting: &str, keys: &[Secret]) -> Result<Vec<Vec<u8>>, SettingError> {
    let bytes = |key: &Secret| match key.expose().strip_prefix("base64:") {
        _ if key.expose().is_empty() => Err(SettingError::new(setting, "a key is empty: anybody could sign with it")),
        Some(text) => {
            STANDARD.decode(text).map_err(|_| SettingError::new(setting, "a key after `base64:` is not base64"))
        }
        None => Ok(key.expose().as_bytes().to_vec()),
    };
    keys.iter().map(bytes).collect()
}

fn cookie_name(name: &str) -> Result<Option<cookie::Name>, SettingError> {
    if name.is_empty() {
        return Ok(None);
    }
    cookie::Name::parse(name).map(Some).map_err(|error| SettingError::new("cookie_name", error))
}

const NO_END: &str = "it has to say when the migration ends, such as \"2027-01-31\"";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
