//! Tokens, and what the store has of them.
//!
//! A token is a selector and a verifier, signed. The session's id is derived one-way from the selector, the verifier
//! hash from both, so a copy of the store opens no session. Nothing here reads a store.

mod key;
mod next_token;
mod sign;

use std::fmt;

use sha2::{Digest, Sha256};

pub use key::{Key, KeyId, KeyRing, KeyRingError};
pub use next_token::{Nonce, next_token};
pub use sign::{
    AcceptedText, CookieNote, TICKET_LIFE, TokenRejection, VerifiedToken, claimed_key, is_ticket, looks_like_token,
    sign_noted_ticket, sign_noted_token, sign_ticket, sign_token, verify_token,
};

use crate::types::{AppName, random};

/// The shortest key of a session in an app of kind `external`: 128 random bits as bytes.
pub const MIN_KEY_BYTES: usize = 16;

/// The longest such key.
pub const MAX_KEY_BYTES: usize = 256;

/// The half of a token that finds the session: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Selector([u8; 16]);

/// The half of a token that opens the session: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verifier([u8; 16]);

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Selector(..)")
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// The selector and the verifier of one token, before it is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SplitToken {
    pub selector: Selector,
    pub verifier: Verifier,
}

impl SplitToken {
    /// Makes the token of a session that does not exist yet.
    pub fn random() -> Self {
        Self::from_bytes(random::bytes())
    }

    /// Derives the token of a legacy credential from what identifies the credential, not from its spelling.
    ///
    /// The same credential gives the same token in every process and at any time. Only an owner of the credential can
    /// derive it, and signing it takes one of the app's keys as well.
    pub fn derived(app: &AppName, kind: &str, credential: &[&[u8]]) -> Self {
        let parts = [b"cloakroom/v1/derived".as_slice(), app.as_bytes(), kind.as_bytes()];
        Self::from_bytes(hash(parts.into_iter().chain(credential.iter().copied())))
    }

    /// Derives the token of the session with this key, in an app of kind `external`.
    ///
    /// It takes no key of the app: a change of those would lose the session, and a secret of 128 random bits cannot be
    /// guessed from its hash.
    pub fn of_key(app: &AppName, key: &[u8]) -> Self {
        Self::derived(app, "external", &[key])
    }

    /// Derives the token of the session that this token leads to once it opens its own no more.
    ///
    /// Every request that shows this token finds the same session. As above, signing the derived one takes a key.
    pub fn recovery(self, app: &AppName) -> Self {
        Self::derived(app, "recovery", &[&self.to_bytes()])
    }

    /// Returns a token of the same session with another verifier.
    pub const fn with_verifier(self, verifier: Verifier) -> Self {
        Self { verifier, ..self }
    }

    /// The id of the session.
    pub fn id(&self, app: &AppName) -> SessionId {
        SessionId(hash([b"cloakroom/v1/id".as_slice(), app.as_bytes(), &self.selector.0]))
    }

    /// The hash of the verifier, which the store has in place of the verifier.
    pub fn verifier_hash(&self, app: &AppName) -> VerifierHash {
        // The label is an earlier name of the verifier. With another one, the stored hashes would match no token.
        let label = b"cloakroom/v1/proof".as_slice();
        VerifierHash(hash([label, app.as_bytes(), &self.selector.0, &self.verifier.0]))
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let (mut selector, mut verifier) = ([0; 16], [0; 16]);
        selector.copy_from_slice(&bytes[..16]);
        verifier.copy_from_slice(&bytes[16..]);
        Self { selector: Selector(selector), verifier: Verifier(verifier) }
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.selector.0);
        bytes[16..].copy_from_slice(&self.verifier.0);
        bytes
    }
}

impl fmt::Debug for SplitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SplitToken(..)")
    }
}

/// The public id of a session: stable, safe to log, opens nothing.
///
/// SHA-256 cut to 16 bytes, as many as the selector has, so the cut makes nothing easier to guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Makes an id of its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads an id: 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    /// The bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A hash of the id for tables: eight of its bytes.
    ///
    /// The id is itself a hash of random bytes, so nobody can choose ids that collide.
    pub fn table_hash(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(bytes)
    }

    /// The id as hexadecimal digits.
    pub fn digits(&self) -> [u8; 32] {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";

        // By hand: every response has an id, and formatting it byte by byte took a tenth of a response's instructions.
        let mut digits = [0; 32];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        digits
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).expect("hexadecimal digits are text"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A one-way hash of a token's verifier, which the store has in its place.
///
/// Hashes may be compared byte by byte: the time that takes says nothing about the verifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifierHash([u8; 16]);

impl VerifierHash {
    /// Makes a hash of its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for VerifierHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifierHash(..)")
    }
}

/// Hashes the parts with SHA-256, each with its length before it, and cuts the hash to at most 32 bytes.
fn hash<'p, const BYTES: usize>(parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; BYTES] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(length_prefix(part));
        hash.update(part);
    }
    let mut cut = [0; BYTES];
    cut.copy_from_slice(&hash.finalize()[..BYTES]);
    cut
}

fn length_prefix(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}
