//! Signing keys: a key with a subkey for each purpose, and the list of an app's keys.
//!
//! A key is never printed. Its id is derived one-way, and every token contains it in plain text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::types::{counted, random};

/// One signing key of an app.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    token: Hmac<Sha256>,
    ticket: Hmac<Sha256>,
    rotation: Hmac<Sha256>,
}

impl Key {
    /// Generates a key as text for a configuration file.
    pub fn generate() -> String {
        URL_SAFE_NO_PAD.encode(random::bytes::<32>())
    }

    /// Reads a key: at least 32 bytes in base64url without padding.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| KeyRingError::NotBase64)?;
        if bytes.len() < MIN_KEY_BYTES {
            return Err(KeyRingError::TooShort { bytes: bytes.len() });
        }
        Ok(Self::from_bytes(&bytes))
    }

    /// The key's public id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn mac(&self, purpose: KeyPurpose) -> Hmac<Sha256> {
        match purpose {
            KeyPurpose::Token => self.token.clone(),
            KeyPurpose::Ticket => self.ticket.clone(),
            KeyPurpose::Rotation => self.rotation.clone(),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut id = [0; 6];
        let digest = Sha256::new().chain_update(b"cloakroom/v1/key-id").chain_update(bytes).finalize();
        id.copy_from_slice(&digest[..6]);
        let subkey = |purpose: KeyPurpose| {
            let derived = hmac(bytes).chain_update(purpose.label()).finalize().into_bytes();
            hmac(&derived)
        };
        Self {
            id: KeyId(id),
            token: subkey(KeyPurpose::Token),
            ticket: subkey(KeyPurpose::Ticket),
            rotation: subkey(KeyPurpose::Rotation),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The use of a subkey. A signature for one purpose is invalid for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPurpose {
    Token,
    Ticket,
    Rotation,
}

impl KeyPurpose {
    pub(super) const fn label(self) -> &'static [u8] {
        match self {
            Self::Token => b"cloakroom/v1/token",
            Self::Ticket => b"cloakroom/v1/ticket",
            Self::Rotation => b"cloakroom/v1/rotation",
        }
    }
}

/// A key's public id: the first six bytes of a hash of the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 6]);

impl KeyId {
    /// Makes an id of its bytes.
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// An app's keys: the first one signs, all verify. Never empty.
#[derive(Clone, Debug)]
pub struct KeyRing(Vec<Key>);

impl KeyRing {
    /// Reads the keys in `texts`, of which the first one signs.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, KeyRingError> {
        let keys = texts.iter().map(|text| Key::parse(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        match keys.iter().enumerate().find(|(n, key)| keys[..*n].iter().any(|earlier| earlier.id == key.id)) {
            Some((_, key)) => Err(KeyRingError::Repeated { id: key.id }),
            None => Ok(Self(keys)),
        }
    }

    /// The key that signs.
    pub fn signing(&self) -> &Key {
        self.0.first().expect("a key ring is never empty")
    }

    /// The key with this id.
    pub fn find(&self, id: KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The ids of all keys, the signing one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.0.iter().map(Key::id)
    }
}

/// Why a list of keys is not accepted. The message never contains a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    #[error("the list of keys is empty; `cloakroom keygen` makes one")]
    Empty,
    #[error("a key is not base64url text without padding; `cloakroom keygen` makes one")]
    NotBase64,
    #[error("a key has {} and needs at least 32; `cloakroom keygen` makes one", counted(*.bytes, "byte", "bytes"))]
    TooShort { bytes: usize },
    #[error("the key {id} is in the list twice; remove one")]
    Repeated { id: KeyId },
}

pub(super) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

const MIN_KEY_BYTES: usize = 32;
