//! Flask's own signed cookies, as a migration source.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::{DAY, MINUTE, cookie_name, key_bytes};
use crate::cookie;
use crate::flask::{DEFAULT_SALT, Digest, Signer};
use crate::types::{Secret, SettingError, duration, secret};

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

impl FlaskCookieSettings {
    pub(super) fn build(&self) -> Result<Option<FlaskCookie>, SettingError> {
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
