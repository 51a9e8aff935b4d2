//! The signature: an HMAC whose key is the HMAC of the salt under the secret, as in itsdangerous.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

/// Flask's `digest_method`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// Flask's default. HMAC is not affected by the known weaknesses of SHA-1.
    #[default]
    Sha1,
    Sha256,
    Sha512,
}

/// The key derived from one secret, ready to sign.
#[derive(Clone)]
pub(super) enum DerivedKey {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl DerivedKey {
    pub(super) fn new(digest: Digest, secret: &[u8], salt: &[u8]) -> Self {
        match digest {
            Digest::Sha1 => Self::Sha1(derive(secret, salt)),
            Digest::Sha256 => Self::Sha256(derive(secret, salt)),
            Digest::Sha512 => Self::Sha512(derive(secret, salt)),
        }
    }

    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1(mac) => mac.clone().chain_update(text).finalize().into_bytes().to_vec(),
            Self::Sha256(mac) => mac.clone().chain_update(text).finalize().into_bytes().to_vec(),
            Self::Sha512(mac) => mac.clone().chain_update(text).finalize().into_bytes().to_vec(),
        }
    }

    /// Checks a signature in constant time.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Sha1(mac) => mac.clone().chain_update(text).verify_slice(signature).is_ok(),
            Self::Sha256(mac) => mac.clone().chain_update(text).verify_slice(signature).is_ok(),
            Self::Sha512(mac) => mac.clone().chain_update(text).verify_slice(signature).is_ok(),
        }
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

fn derive<M: hmac::Mac + KeyInit>(secret: &[u8], salt: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC accepts a key of any length");
    mac.update(salt);
    <M as KeyInit>::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC accepts a key of any length")
}
