//! The next token: the one that replaces a token in a rotation.
//!
//! Its verifier is derived from the old verifier, a nonce and a rotation key, so concurrent calls get the same token.
//! The store has the nonce alone, which is not enough to derive it.

use std::fmt;

use hmac::Mac;

use super::key::KeyPurpose;
use super::{Key, SplitToken, Verifier};
use crate::types::random;

/// The random input that makes each rotation's next token a different one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Makes the nonce of a new rotation.
    pub fn random() -> Self {
        Self(random::bytes())
    }

    /// Makes a nonce of its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the nonce.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

/// Derives the token that replaces `old` in the rotation with this nonce.
pub fn next_token(key: &Key, old: SplitToken, nonce: Nonce) -> SplitToken {
    let mac = key.mac(KeyPurpose::Rotation).chain_update(old.to_bytes()).chain_update(nonce.0).finalize();
    let mut verifier = [0; 16];
    verifier.copy_from_slice(&mac.into_bytes()[..16]);
    old.with_verifier(Verifier(verifier))
}
