//! The sessions that express-session keeps in Redis, by connect-redis, as a migration source.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::{cookie_name, key_bytes, without_url};
use super::legacy_redis::legacy_redis_access;
use super::{LegacyRedis, LegacyRedisAccess};
use crate::cookie;
use crate::express::Signer;
use crate::types::{Secret, SettingError, duration, secret};

/// The sessions of express-session: the cookie holds the signed id, Redis holds the record.
#[derive(Clone, Debug)]
pub struct ExpressSession {
    /// The Redis of connect-redis.
    pub redis: LegacyRedis,
    /// Checks the cookies.
    pub signer: Signer,
    /// `None`: the name of the app's cookie.
    pub cookie_name: Option<cookie::Name>,
}

/// The `[apps.<name>.migrate.express_session]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpressSessionSettings {
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
    /// The `prefix` of connect-redis.
    pub key_prefix: String,
    /// How long one read may take before the call fails with UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// The `secret` of express-session; if that is a list, all of it. Written as in `flask_cookie`.
    #[serde(deserialize_with = "secret::list")]
    pub keys: Vec<Secret>,
    /// A file with one key on each line, instead of `keys`.
    pub keys_file: Option<PathBuf>,
    /// The `name` of express-session. Empty: the name of the app's cookie.
    pub cookie_name: String,
}

impl Default for ExpressSessionSettings {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            username: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_prefix: "sess:".to_owned(),
            timeout: Duration::from_secs(1),
            keys: Vec::new(),
            keys_file: None,
            cookie_name: "connect.sid".to_owned(),
        }
    }
}

impl ExpressSessionSettings {
    pub(super) fn build(&self) -> Result<Option<ExpressSession>, SettingError> {
        let Some(access) = self.redis() else { return without_url(self, "the Redis of connect-redis") };
        if self.keys.is_empty() {
            return Err(SettingError::new("keys", NO_KEYS));
        }
        let signer = Signer::new(&key_bytes("keys", &self.keys)?);
        Ok(Some(ExpressSession {
            redis: LegacyRedis { access, key_prefix: self.key_prefix.as_str().into() },
            signer: signer.map_err(|error| SettingError::new("keys", error))?,
            cookie_name: cookie_name(&self.cookie_name)?,
        }))
    }

    /// Returns how to connect to Redis. `None`: there is no such source.
    pub fn redis(&self) -> Option<LegacyRedisAccess> {
        legacy_redis_access!(self)
    }
}
const NO_KEYS: &str = "it has to have the secret of express-session, which signs every cookie";
