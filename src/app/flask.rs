//! The settings of Flask's own cookie.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::flask::{DEFAULT_SALT, Digest, Signer};
use crate::types::{Secret, SettingError};

/// The `[apps.<name>.flask]` table: what signs the cookie of an app of kind `cookie`, besides its keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlaskSettings {
    /// Flask's `SecureCookieSessionInterface.salt`. Change it if the application has.
    pub salt: String,
    /// Flask's `digest_method`. Change it if the application has.
    pub digest: Digest,
}

impl Default for FlaskSettings {
    fn default() -> Self {
        Self { salt: DEFAULT_SALT.to_owned(), digest: Digest::Sha1 }
    }
}

impl FlaskSettings {
    /// Builds the signer with these keys, newest first. `None` without a key.
    pub(super) fn signer(&self, keys: &[Secret]) -> Result<Option<Signer>, SettingError> {
        if keys.is_empty() {
            return Ok(None);
        }
        let keys = keys.iter().map(|key| key_bytes(key.expose())).collect::<Result<Vec<_>, _>>()?;
        let signer = Signer::new(&keys, self.salt.as_bytes(), self.digest);
        signer.map(Some).map_err(|error| SettingError::new("keys", error))
    }
}

/// Returns the bytes of a key: text as it is, or what is encoded after `base64:`.
///
/// `text:` marks a text that itself begins with one of the two.
fn key_bytes(key: &str) -> Result<Vec<u8>, SettingError> {
    match key.strip_prefix("base64:") {
        Some(encoded) => STANDARD.decode(encoded.trim()).map_err(|_| SettingError::new("keys", NOT_BASE64)),
        None => Ok(key.strip_prefix("text:").unwrap_or(key).into()),
    }
}

const NOT_BASE64: &str =
    "a key that begins with base64: is not padded base64; a text that begins so is written text:base64:...";
