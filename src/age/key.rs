//! The two halves of a key pair: recipients, to whom is encrypted, and identities, which decrypt.

use std::fmt;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use x25519_dalek::{PublicKey, StaticSecret};

use super::KeyError;
use crate::types::random;

/// A public key. It encrypts, and cannot decrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient(pub(super) PublicKey);

impl Recipient {
    /// Reads `age1…`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if is_secret(text) {
            return Err(KeyError::IdentityAsRecipient);
        }
        if let Some(key) = decode(text, RECIPIENT)? {
            return Ok(Self(PublicKey::from(key)));
        }
        // Such as age1pq1…, age1yubikey1… and keys of SSH. The data of a key has no 1.
        let is_other = text.strip_prefix(RECIPIENT).is_some_and(|data| data.contains('1')) || text.starts_with("ssh-");
        Err(if is_other { KeyError::Unsupported } else { KeyError::NoRecipient })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode("age", self.0.as_bytes()))
    }
}

/// A secret key, which decrypts what is encrypted to its recipient.
#[derive(Clone)]
pub struct Identity(pub(super) StaticSecret);

impl Identity {
    /// Makes a new one.
    pub fn generate() -> Self {
        Self(StaticSecret::from(random::bytes::<32>()))
    }

    /// Reads `AGE-SECRET-KEY-1…`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(RECIPIENT) {
            return Err(KeyError::RecipientAsIdentity);
        }
        if let Some(key) = decode(text, IDENTITY)? {
            return Ok(Self(StaticSecret::from(key)));
        }
        let is_other = text.starts_with("AGE-PLUGIN-") || text.starts_with("AGE-SECRET-KEY-PQ-");
        Err(if is_other || text.contains("PRIVATE KEY-----") { KeyError::Unsupported } else { KeyError::NoIdentity })
    }

    /// The public key of it.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0))
    }

    /// The text that [`Self::parse`] reads.
    pub fn expose(&self) -> String {
        encode("age-secret-key-", self.0.as_bytes()).to_uppercase()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

fn is_secret(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    text.starts_with("AGE-SECRET-KEY-") || text.starts_with("AGE-PLUGIN-")
}

/// Reads a key of 32 bytes with this prefix. `None`: it has another prefix, or another length.
fn decode(text: &str, prefix: &str) -> Result<Option<[u8; 32]>, KeyError> {
    if !text.starts_with(prefix) || text.len() != prefix.len() + DATA_LENGTH {
        return Ok(None);
    }
    let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| KeyError::Checksum)?;
    let key: Vec<u8> = checked.byte_iter().collect();
    Ok(key.try_into().ok())
}

fn encode(prefix: &str, key: &[u8; 32]) -> String {
    let prefix = Hrp::parse_unchecked(prefix);
    bech32::encode::<Bech32>(prefix, key).expect("32 bytes are far below the limit of the code")
}

const RECIPIENT: &str = "age1";
const IDENTITY: &str = "AGE-SECRET-KEY-1";

/// The characters after the prefix: 52 for the key, 6 for a checksum.
const DATA_LENGTH: usize = 58;
