//! The settings of Flask's own cookie: what an application signs with, as a person writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::flask::{DEFAULT_SALT, Digest, KeysError, Signer};
use crate::types::Secret;

/// The `[apps.<name>.flask]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlaskSettings {
    /// Flask's `SecureCookieSessionInterface.salt`.
    pub salt: String,
    /// Flask's `digest_method`.
    pub digest: Digest,
}

impl Default for FlaskSettings {
    fn default() -> Self {
        Self { salt: DEFAULT_SALT.to_owned(), digest: Digest::Sha1 }
    }
}

impl FlaskSettings {
    /// The signer with these secrets, newest first; none without a secret.
    pub(super) fn signer(&self, keys: &[Secret]) -> Result<Option<Signer>, FlaskKeysError> {
        if keys.is_empty() {
            return Ok(None);
        }
        let keys = keys.iter().map(|key| bytes(key.expose())).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Signer::new(&keys, self.salt.as_bytes(), self.digest)?))
    }
}

/// What is wrong with a list of Flask's secrets. Says nothing of a secret itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlaskKeysError {
    /// Bytes that can not be read.
    #[error("a key that begins with base64: is not padded base64; a text that begins so is written text:base64:...")]
    NotBase64,
    /// The list as a whole.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Text as it stands, or the bytes behind `base64:`; a text that begins like one of the two stands behind `text:`.
fn bytes(key: &str) -> Result<Vec<u8>, FlaskKeysError> {
    match key.strip_prefix("base64:") {
        Some(encoded) => STANDARD.decode(encoded.trim()).map_err(|_| FlaskKeysError::NotBase64),
        None => Ok(key.strip_prefix("text:").unwrap_or(key).into()),
    }
}
