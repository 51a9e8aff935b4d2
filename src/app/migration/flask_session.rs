//! The sessions that Flask-Session keeps in Redis, as a migration source.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::{cookie_name, key_bytes, without_url};
use super::legacy_redis::legacy_redis_access;
use super::{LegacyRedis, LegacyRedisAccess};
use crate::cookie;
use crate::flask::flask_session::SidKey;
use crate::types::{Secret, SettingError, duration, secret};

/// Flask-Session's sessions: the cookie holds the id, Redis holds the record.
#[derive(Clone, Debug)]
pub struct FlaskSession {
    /// Its Redis.
    pub redis: LegacyRedis,
    /// The keys that sign the ids. Empty: ids are not signed.
    pub signer_keys: Box<[SidKey]>,
    /// `None`: the name of the app's cookie.
    pub cookie_name: Option<cookie::Name>,
}

/// The `[apps.<name>.migrate.flask_session]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlaskSessionSettings {
    /// The address of Flask-Session's Redis, as in `[store.redis]`. Not set: no such source.
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
            username: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_prefix: "session:".to_owned(),
            timeout: Duration::from_secs(1),
            signer_keys: Vec::new(),
            signer_keys_file: None,
            cookie_name: String::new(),
        }
    }
}

impl FlaskSessionSettings {
    pub(super) fn build(&self) -> Result<Option<FlaskSession>, SettingError> {
        let Some(access) = self.redis() else { return without_url(self, "the Redis of Flask-Session") };
        let keys = key_bytes("signer_keys", &self.signer_keys)?;
        Ok(Some(FlaskSession {
            redis: LegacyRedis { access, key_prefix: self.key_prefix.as_str().into() },
            signer_keys: keys.iter().map(|key| SidKey::new(key)).collect(),
            cookie_name: cookie_name(&self.cookie_name)?,
        }))
    }

    /// Returns how to connect to Redis. `None`: there is no such source.
    pub fn redis(&self) -> Option<LegacyRedisAccess> {
        legacy_redis_access!(self)
    }
}
