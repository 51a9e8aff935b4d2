//! The signature: an HMAC under a key that is itself the HMAC of the salt, as itsdangerous derives it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

/// Flask's `digest_method`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// SHA-1: Flask's own. Its known weaknesses are none of HMAC.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The derived key of one secret, ready to sign.
#[derive(Clone)]
pub(super) enum Mac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Mac {
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

    /// In constant time.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Sha1(mac) => mac.clone().chain_update(text).verify_slice(signature).is_ok(),
            Self::Sha256(mac) => mac.clone().chain_update(text).verify_slice(signature).is_ok(),
            Self::Sha512(mac) => mac.clone().chain_update(text).verify_slice(signature).is_ok(),
        }
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac")
    }
}

fn derive<M: hmac::Mac + KeyInit>(secret: &[u8], salt: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(salt);
    <M as KeyInit>::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC takes a key of any length")
}
