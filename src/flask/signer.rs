//! The signer: keys, salt and digest of one Flask application, and the cookie's text around a payload.
//!
//! The signature is checked first, in constant time, then the age; only then is anything decoded. A cookie has one
//! spelling, but its text is still no name for it: for that the decoded signature is answered.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::digest::{Digest, Mac};
use super::payload::{self, MAX_JSON_BYTES, NotAnEntry};
use crate::session::Entries;
use crate::token::KeyId;
use crate::types::Time;

/// Flask's salt for sessions.
pub const DEFAULT_SALT: &str = "cookie-session";

/// Opens and signs the session cookies of one Flask application.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Never empty; the first signs.
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    id: KeyId,
    mac: Mac,
}

/// What a cookie held whose signature was right and that is not too old.
#[derive(Clone, Debug)]
pub struct VerifiedCookie {
    /// What the session holds: tagged JSON by name, each value as Python writes it. Never `_permanent`.
    pub entries: Entries,
    /// Flask's entry `_permanent`, as Python's `bool` sees it.
    pub permanent: Option<bool>,
    /// When it was signed, to the second.
    pub issued: Time,
    /// Its signature, decoded: the one thing that names this cookie.
    pub signature: Box<[u8]>,
}

/// Why a cookie opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CookieRejection {
    /// Not written as one.
    Malformed,
    /// The signature is wrong: forged, or under another key, salt or digest.
    BadSignature,
    /// Signed too long ago.
    Expired,
    /// Signed later than now.
    FromTheFuture,
    /// Signed, but what it holds is nothing that Flask could load, or nothing that entries can hold.
    Payload,
    /// Signed, but what it holds is over [`MAX_JSON_BYTES`].
    TooLarge,
}

impl CookieRejection {
    /// All reasons, in their order.
    pub const ALL: [Self; 6] =
        [Self::Malformed, Self::BadSignature, Self::Expired, Self::FromTheFuture, Self::Payload, Self::TooLarge];

    /// The reason for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::Expired => "EXPIRED",
            Self::FromTheFuture => "FROM_THE_FUTURE",
            Self::Payload => "PAYLOAD",
            Self::TooLarge => "TOO_LARGE",
        }
    }
}

impl fmt::Display for CookieRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not written as a signed cookie",
            Self::BadSignature => "its signature is wrong: it is forged, or signed with another key, salt or digest",
            Self::Expired => "it was signed too long ago",
            Self::FromTheFuture => "it was signed later than now: the clock here, or where it was signed, is wrong",
            Self::Payload => "it is signed, but Flask could not load what it holds",
            Self::TooLarge => "it is signed, but what it holds is over 1 MiB",
        })
    }
}

impl Signer {
    /// A signer with these keys, newest first: the first signs, all verify. Text counts as its UTF-8 bytes.
    ///
    /// A key may be of any length, for it is what the Flask application has; who can guess it can forge every session.
    pub fn new<K: AsRef<[u8]>>(keys: &[K], salt: &[u8], digest: Digest) -> Result<Self, KeysError> {
        let mut ring = Vec::<Key>::with_capacity(keys.len());
        for secret in keys.iter().map(AsRef::as_ref) {
            let key = Key { id: id(secret), mac: Mac::new(digest, secret, salt) };
            match ring.iter().find(|other| other.id == key.id) {
                _ if secret.is_empty() => return Err(KeysError::EmptyKey),
                Some(other) => return Err(KeysError::Repeated { id: other.id }),
                None => ring.push(key),
            }
        }
        if ring.is_empty() { Err(KeysError::Empty) } else { Ok(Self { keys: ring }) }
    }

    /// The public names of all keys, the signing one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|key| key.id)
    }

    /// Reads a cookie that was signed at most `max_age` before `now`, both in whole seconds as Flask counts.
    pub fn verify(&self, text: &str, max_age: Duration, now: Time) -> Result<VerifiedCookie, CookieRejection> {
        if text.len() > MAX_TEXT {
            return Err(CookieRejection::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(CookieRejection::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| CookieRejection::Malformed)?;
        if !self.keys.iter().any(|key| key.mac.verifies(signed.as_bytes(), &signature)) {
            return Err(CookieRejection::BadSignature);
        }
        let (payload, seconds) = signed.rsplit_once('.').ok_or(CookieRejection::Malformed)?;
        let issued = seconds_from(seconds).ok_or(CookieRejection::Malformed)?;
        let age = now.seconds().checked_sub(issued).ok_or(CookieRejection::FromTheFuture)?;
        if age > max_age.as_secs() {
            return Err(CookieRejection::Expired);
        }
        let content = payload::decode(payload)?;
        Ok(VerifiedCookie {
            entries: content.entries,
            permanent: content.permanent,
            issued: Time::from_seconds(issued),
            signature: signature.into(),
        })
    }

    /// Writes a cookie, signed at `now`, that Flask opens as the same session.
    ///
    /// Byte for byte what Flask writes, unless Flask would compress it: zlibs differ in how. `_permanent` counts as
    /// `permanent`, wherever it stands.
    pub fn sign(&self, entries: &Entries, permanent: Option<bool>, now: Time) -> Result<String, NotAnEntry> {
        let mut text = payload::encode(entries, permanent)?;
        text.push('.');
        let seconds = now.seconds().to_be_bytes();
        let zeros = seconds.iter().take_while(|byte| **byte == 0).count();
        URL_SAFE_NO_PAD.encode_string(&seconds[zeros..], &mut text);
        let key = self.keys.first().expect("a signer always has a key");
        let signature = key.mac.sign(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(text)
    }
}

/// What is wrong with a list of keys. Says nothing of a key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// No key at all.
    #[error("the list of keys is empty; it takes the Flask application's SECRET_KEY")]
    Empty,
    /// A key of no bytes.
    #[error("a key is empty: anybody could sign with it")]
    EmptyKey,
    /// The same key twice.
    #[error("the key {id} stands in the list twice; remove one")]
    Repeated {
        /// Its name.
        id: KeyId,
    },
}

/// A key's public name. It tells no more of a key that can be guessed than every cookie does that is signed with it.
fn id(secret: &[u8]) -> KeyId {
    let hash = Sha256::new().chain_update(b"cloakroom/v1/flask-key-id").chain_update(secret).finalize();
    let mut id = [0; 6];
    id.copy_from_slice(&hash[..6]);
    KeyId::from_bytes(id)
}

/// At most eight bytes, the highest first; none is 0.
fn seconds_from(text: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= 8)?;
    Some(bytes.iter().fold(0, |seconds, byte| seconds << 8 | u64::from(*byte)))
}

/// The longest payload in base64, with room for time and signature.
const MAX_TEXT: usize = MAX_JSON_BYTES / 3 * 4 + 256;
