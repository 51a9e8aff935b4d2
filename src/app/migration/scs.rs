//! The sessions that scs, for Go, keeps in Redis, as a migration source.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::{cookie_name, without_url};
use super::legacy_redis::legacy_redis_access;
use super::{LegacyRedis, LegacyRedisAccess};
use crate::cookie;
use crate::types::{Secret, SettingError, duration};

/// The sessions of scs: the cookie holds the token, Redis holds the record.
#[derive(Clone, Debug)]
pub struct Scs {
    /// The Redis of its store.
    pub redis: LegacyRedis,
    /// Its `HashTokenInStore`.
    pub hash_token: bool,
    /// Its `Cookie.Persist`: imported sessions outlive the browser.
    pub persist: bool,
    /// `None`: the name of the app's cookie.
    pub cookie_name: Option<cookie::Name>,
}

/// The `[apps.<name>.migrate.scs]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScsSettings {
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
    /// The prefix of its Redis store.
    pub key_prefix: String,
    /// How long one read may take before the call fails with UNAVAILABLE. 10 ms to 1 minute.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Its `HashTokenInStore`: the store has the hash of each token.
    pub hash_token: bool,
    /// Its `Cookie.Persist`. If false, only the cookies of sessions with `RememberMe(true)` outlive the browser.
    pub persist: bool,
    /// Its `Cookie.Name`. Empty: the name of the app's cookie.
    pub cookie_name: String,
}

impl Default for ScsSettings {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            username: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_prefix: "scs:session:".to_owned(),
            timeout: Duration::from_secs(1),
            hash_token: false,
            persist: true,
            cookie_name: String::new(),
        }
    }
}

impl ScsSettings {
    pub(super) fn build(&self) -> Result<Option<Scs>, SettingError> {
        let Some(access) = self.redis() else { return without_url(self, "the Redis of scs") };
        Ok(Some(Scs {
            redis: LegacyRedis { access, key_prefix: self.key_prefix.as_str().into() },
            hash_token: self.hash_token,
            persist: self.persist,
            cookie_name: cookie_name(&self.cookie_name)?,
        }))
    }

    /// Returns how to connect to Redis. `None`: there is no such source.
    pub fn redis(&self) -> Option<LegacyRedisAccess> {
        legacy_redis_access!(self)
    }
}
