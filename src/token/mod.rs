//! Tokens: what a cookie holds, and what the store keeps instead.
//!
//! A token is a locator and a secret, signed. The id is derived one-way from the locator, the
//! proof from both, so that a copy of the store opens no session. Nothing here reads a store.

mod key;
mod next_token;
mod sign;

use std::fmt;

use sha2::{Digest, Sha256};

pub use key::{Key, KeyId, KeyRing, KeyRingError};
pub use next_token::{Nonce, next_token};
pub use sign::{
    TICKET_LIFE, Ticket, TokenRejection, VerifiedToken, claimed_key, is_shaped, is_ticket, sign_ticket, sign_token,
    verify_ticket, verify_token,
};

use crate::types::{AppName, random};

/// What finds a session: 16 random bytes. Half of what a token says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Selector([u8; 16]);

/// What opens a session: 16 random bytes. The other half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verifier([u8; 16]);

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locator(..)")
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Locator and secret of one token, before it is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SplitToken {
    /// Finds the session.
    pub selector: Selector,
    /// Opens it.
    pub verifier: Verifier,
}

impl SplitToken {
    /// A bearer for a session that nobody has yet.
    pub fn random() -> Self {
        Self::from_bytes(random::bytes())
    }

    /// The bearer that an old credential stands for, told by what names that credential and not by how it is spelled.
    ///
    /// Whoever has the credential can derive it, wherever and as often as it is shown; nobody else can, and whoever can
    /// still needs one of the app's keys to write a token of it.
    pub fn derived(app: &AppName, kind: &str, credential: &[&[u8]]) -> Self {
        let parts = [b"cloakroom/v1/derived".as_slice(), app.as_bytes(), kind.as_bytes()];
        Self::from_bytes(hash(parts.into_iter().chain(credential.iter().copied())))
    }

    /// The same session under another secret.
    pub const fn with_secret(self, verifier: Verifier) -> Self {
        Self { verifier, ..self }
    }

    /// The public handle of the session.
    pub fn id(&self, app: &AppName) -> SessionId {
        SessionId(digest(&[b"cloakroom/v1/id", app.as_bytes(), &self.selector.0]))
    }

    /// What the store keeps of the secret.
    pub fn verifier_hash(&self, app: &AppName) -> VerifierHash {
        VerifierHash(digest(&[b"cloakroom/v1/proof", app.as_bytes(), &self.selector.0, &self.verifier.0]))
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
        f.write_str("Bearer(..)")
    }
}

/// The public handle of a session: stable, safe to log, opens nothing.
///
/// SHA-256 cut to 16 bytes: as many bits as the locator has, so that cutting gives nothing away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// An id from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads an id as it is written: 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// As it is written.
    pub fn digits(&self) -> [u8; 32] {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";

        // By hand: every answer carries one, and formatting byte by byte took a tenth of its instructions.
        let mut digits = [0; 32];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        digits
    }

    /// Which of the 64 partitions of its app the session lies in: the first six bits.
    pub const fn partition(&self) -> u8 {
        self.0[0] >> 2
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).expect("hexadecimal digits are text"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// What the store keeps of a token's secret: a one-way hash.
///
/// Proofs may be compared byte by byte: how many agree tells nothing about the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifierHash([u8; 16]);

impl VerifierHash {
    /// A proof from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for VerifierHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(..)")
    }
}

/// SHA-256 over the parts, cut to 16 bytes.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut cut = [0; 16];
    cut.copy_from_slice(&hash(parts.iter().copied())[..16]);
    cut
}

/// SHA-256 over the parts, each with its length before it.
fn hash<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(length_prefix(part));
        hash.update(part);
    }
    hash.finalize().into()
}

fn length_prefix(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}
