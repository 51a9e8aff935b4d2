//! Django's signed cookies, as a migration source.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::{DAY, MINUTE, cookie_name, key_bytes};
use crate::cookie;
use crate::django::{COOKIE_SALT, Signer};
use crate::types::{Secret, SettingError, duration, secret};

/// Django's sessions that are wholly in their cookies: its backend `signed_cookies`.
#[derive(Clone, Debug)]
pub struct DjangoCookie {
    /// Checks the cookies with the application's keys.
    pub signer: Signer,
    /// Django's `SESSION_COOKIE_AGE`: an older cookie is not imported.
    pub lifetime: Duration,
    /// Django's `SESSION_EXPIRE_AT_BROWSER_CLOSE`.
    pub expire_at_browser_close: bool,
    /// `None`: the name of the app's cookie.
    pub cookie_name: Option<cookie::Name>,
}

/// The `[apps.<name>.migrate.django_cookie]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DjangoCookieSettings {
    /// The Django application's `SECRET_KEY`, then its `SECRET_KEY_FALLBACKS`. Empty: no such source.
    ///
    /// Text as it is, or other bytes as `base64:...`.
    #[serde(deserialize_with = "secret::list")]
    pub keys: Vec<Secret>,
    /// A file with one key on each line, instead of `keys`.
    pub keys_file: Option<PathBuf>,
    /// Django's `SESSION_COOKIE_AGE`, after which no cookie is imported. 1 minute to 400 days.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// Django's `SESSION_EXPIRE_AT_BROWSER_CLOSE`: imported sessions end with the browser.
    pub expire_at_browser_close: bool,
    /// Django's `SESSION_COOKIE_NAME`. Empty: the name of the app's cookie.
    pub cookie_name: String,
}

impl Default for DjangoCookieSettings {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            keys_file: None,
            lifetime: 14 * DAY,
            expire_at_browser_close: false,
            cookie_name: String::new(),
        }
    }
}

impl DjangoCookieSettings {
    pub(super) fn build(&self) -> Result<Option<DjangoCookie>, SettingError> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let signer = Signer::new(&key_bytes("keys", &self.keys)?, COOKIE_SALT);
        if !(MINUTE..=400 * DAY).contains(&self.lifetime) {
            return Err(SettingError::new("lifetime", "it has to be from 1m to 400d"));
        }
        Ok(Some(DjangoCookie {
            signer: signer.map_err(|error| SettingError::new("keys", error))?,
            lifetime: self.lifetime,
            expire_at_browser_close: self.expire_at_browser_close,
            cookie_name: cookie_name(&self.cookie_name)?,
        }))
    }
}
