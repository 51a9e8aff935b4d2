//! The credentials of callers: a name in a client certificate, or a caller token.
//!
//! A token is 32 random bytes, so it cannot be guessed from its plain SHA-256. The service stores only the hash.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

use crate::types::random;

/// A subject alternative name of a client certificate, compared whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// In lower case.
    Dns(String),
    /// Such as a SPIFFE ID.
    Uri(String),
}

impl CertificateName {
    /// Parses a name. A name with a colon is a URI, because a DNS name never has one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            let is_uri = text.bytes().all(|c| c.is_ascii_graphic()) && !text.starts_with(':') && !text.ends_with(':');
            return is_uri.then(|| Self::Uri(text.to_owned()));
        }
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
        text.split('.').all(is_label).then(|| Self::dns(text))
    }

    /// Returns a DNS name, in lower case.
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase())
    }
}

/// The SHA-256 of a caller token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a token.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the first 8 bytes, the lookup key in [`super::Callers`].
    pub(super) fn prefix(self) -> [u8; 8] {
        *self.0.first_chunk().expect("a hash has 32 bytes")
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Returns the hash of the token in `authorization: Bearer ...`, if there is one.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<TokenHash> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    let is_valid = scheme.eq_ignore_ascii_case(BEARER) && !token.is_empty() && token.len() <= MAX_TOKEN_BYTES;
    is_valid.then(|| TokenHash::of(token))
}

/// Generates a caller token or a key of the console. Secret scanners can recognize its prefix.
pub fn generate_token() -> String {
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random::bytes::<32>()))
}

const BEARER: &[u8] = b"bearer ";

/// Longer tokens are ignored, so that an unknown caller cannot make the service hash much.
const MAX_TOKEN_BYTES: usize = 256;

const TOKEN_PREFIX: &str = "cloakroom_caller_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_formatted_as_by_sha256sum() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

        assert_eq!(TokenHash::of(b"abc").to_string(), hash);
        assert!(TokenHash::parse(hash) == Some(TokenHash::of(b"abc")));
        assert!(TokenHash::parse(&hash.to_ascii_uppercase()) == Some(TokenHash::of(b"abc")));
        for wrong in ["", &hash[1..], &format!("{hash}0"), &hash.replace('b', "+"), &hash.replace('a', "g")] {
            assert!(TokenHash::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_hash() {
        assert_eq!(format!("{:?}", TokenHash::of(b"abc")), "TokenHash(..)");
    }

    #[test]
    fn two_generated_tokens_differ() {
        let (one, other) = (generate_token(), generate_token());

        assert_ne!(one, other);
        assert_eq!(one.len(), TOKEN_PREFIX.len() + 43);
    }
}
