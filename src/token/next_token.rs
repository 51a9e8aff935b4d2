//! The successor of a token: the secret that a rotation puts in its place.
//!
//! Derived from the old secret, a nonce and a rotation key, so that every racer gets the same one
//! and it can't fork. The store keeps the nonce alone, from which nobody derives anything.

use std::fmt;

use hmac::Mac;

use super::key::Purpose;
use super::{Key, SplitToken, Verifier};
use crate::types::random;

/// What makes one rotation differ from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// A nonce for a rotation that has not happened yet.
    pub fn random() -> Self {
        Self(random::bytes())
    }

    /// A nonce from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

/// The bearer that follows `old` in the rotation that `nonce` stands for.
pub fn next_token(key: &Key, old: SplitToken, nonce: Nonce) -> SplitToken {
    let mac = key.mac(Purpose::Rotation).chain_update(old.to_bytes()).chain_update(nonce.0).finalize();
    let mut verifier = [0; 16];
    verifier.copy_from_slice(&mac.into_bytes()[..16]);
    old.with_secret(Verifier(verifier))
}
