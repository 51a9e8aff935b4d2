//! Django's sessions that are found by a session key, as a migration source.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::{cookie_name, key_bytes, without_url};
use super::legacy_redis::legacy_redis_access;
use super::{LegacyRedis, LegacyRedisAccess};
use crate::cookie;
use crate::django::{ROW_SALT, Signer};
use crate::types::{Secret, SettingError, duration, secret};

/// Django's sessions that are found by a session key: its backends `db`, `cached_db`, `cache` and `file`.
///
/// They are read from Redis, where a cache that stores JSON has them, or where rows were copied to.
#[derive(Clone, Debug)]
pub struct DjangoSession {
    /// The Redis with the records.
    pub redis: LegacyRedis,
    /// Checks the records. `None`: they are JSON, and not signed.
    pub signer: Option<Signer>,
    /// Django's `SESSION_EXPIRE_AT_BROWSER_CLOSE`.
    pub expire_at_browser_close: bool,
    /// `None`: the name of the app's cookie.
    pub cookie_name: Option<cookie::Name>,
}

/// The `[apps.<name>.migrate.django_session]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DjangoSessionSettings {
    /// The address of the Redis with the records, as in `[store.redis]`. Not set: no such source.
    pub url: Option<Secret>,
    /// A file that holds the url, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// The user, as in `[store.redis]`.
    pub username: Option<String>,
    /// A file that holds the password, as in `[store.redis]`.
    pub password_file: Option<PathBuf>,
    /// The authorities that may have signed the certificate of this Redis, as in `[store.redis]`.
    pub ca_file: Option<PathBuf>,
    /// The client certificate, as in `[store.redis]`.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the client certificate.
    pub key_file: Option<PathBuf>,
    /// How the key of each record begins; the session key follows.
    pub key_prefix: String,
    /// How long one read may take before the call fails with UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// The Django application's `SECRET_KEY`, then its `SECRET_KEY_FALLBACKS`, written as in `django_cookie`.
    ///
    /// With keys, a record is the signed text of a row of `django_session`. Without keys, it is a JSON object.
    #[serde(deserialize_with = "secret::list")]
    pub keys: Vec<Secret>,
    /// A file with one key on each line, instead of `keys`.
    pub keys_file: Option<PathBuf>,
    /// The salt of the rows. Change it only if the class of the session backend is not called `SessionStore`.
    pub salt: String,
    /// Django's `SESSION_EXPIRE_AT_BROWSER_CLOSE`: imported sessions end with the browser.
    pub expire_at_browser_close: bool,
    /// Django's `SESSION_COOKIE_NAME`. Empty: the name of the app's cookie.
    pub cookie_name: String,
}

impl Default for DjangoSessionSettings {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            username: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_prefix: "django_session:".to_owned(),
            timeout: Duration::from_secs(1),
            keys: Vec::new(),
            keys_file: None,
            salt: ROW_SALT.to_owned(),
            expire_at_browser_close: false,
            cookie_name: String::new(),
        }
    }
}

impl DjangoSessionSettings {
    pub(super) fn build(&self) -> Result<Option<DjangoSession>, SettingError> {
        let Some(access) = self.redis() else {
            return without_url(self, "the Redis with the records, not an SQL database");
        };
        Ok(Some(DjangoSession {
            redis: LegacyRedis { access, key_prefix: self.key_prefix.as_str().into() },
            signer: self.signer()?,
            expire_at_browser_close: self.expire_at_browser_close,
            cookie_name: cookie_name(&self.cookie_name)?,
        }))
    }

    /// Returns how to connect to Redis. `None`: there is no such source.
    pub fn redis(&self) -> Option<LegacyRedisAccess> {
        legacy_redis_access!(self)
    }

    fn signer(&self) -> Result<Option<Signer>, SettingError> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let signer = Signer::new(&key_bytes("keys", &self.keys)?, &self.salt);
        signer.map(Some).map_err(|error| SettingError::new("keys", error))
    }
}
