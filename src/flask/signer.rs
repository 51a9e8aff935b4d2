//! The signer: the keys, salt and digest of one Flask application, and the cookie's text around a payload.
//!
//! The signature is checked first, in constant time, then the age; only then the payload is decoded. What identifies a
//! cookie is its decoded signature, not its text.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::digest::{DerivedKey, Digest};
use super::payload::{self, SignError};
use crate::session::Entries;
use crate::signing::{KeysError, MAX_JSON_BYTES, PayloadError, key_ids};
use crate::token::KeyId;
use crate::types::Time;

/// Flask's salt for sessions.
pub const DEFAULT_SALT: &str = "cookie-session";

/// Verifies and signs the session cookies of one Flask application.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Never empty; the first signs.
    keys: Vec<SignerKey>,
}

#[derive(Clone, Debug)]
struct SignerKey {
    id: KeyId,
    derived: DerivedKey,
}

/// The content of a cookie with a valid signature that is not too old.
#[derive(Clone, Debug)]
pub struct VerifiedCookie {
    /// Tagged JSON by name, each value as Python writes it. Never `_permanent`.
    pub entries: Entries,
    /// Python's `bool` of Flask's entry `_permanent`.
    pub permanent: Option<bool>,
    /// When the cookie was signed, to the second.
    pub issued: Time,
    /// The decoded signature, which identifies the cookie.
    pub signature: Box<[u8]>,
}

/// Why a cookie is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CookieRejection {
    Malformed,
    /// It is forged, or signed with another key, salt or digest.
    BadSignature,
    Expired,
    FromTheFuture,
    /// The signature is valid, but Flask could not load the payload, or [`Entries`] have no room for a name.
    Payload,
    /// The signature is valid, but the payload is over [`MAX_JSON_BYTES`].
    TooLarge,
}

impl CookieRejection {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Malformed, Self::BadSignature, Self::Expired, Self::FromTheFuture, Self::Payload, Self::TooLarge];

    /// The reason as programs read it.
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

impl From<PayloadError> for CookieRejection {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Malformed => Self::Payload,
            PayloadError::TooLarge => Self::TooLarge,
        }
    }
}

impl Signer {
    /// Makes a signer with these keys, newest first: the first signs, all verify.
    pub fn new<K: AsRef<[u8]>>(keys: &[K], salt: &[u8], digest: Digest) -> Result<Self, KeysError> {
        let keys = key_ids(keys)?.into_iter().zip(keys);
        let keys = keys.map(|(id, secret)| SignerKey { id, derived: DerivedKey::new(digest, secret.as_ref(), salt) });
        Ok(Self { keys: keys.collect() })
    }

    /// The public ids of all keys, the signing one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|key| key.id)
    }

    /// Reads a cookie that was signed at most `max_age` before `now`. Times are cut to whole seconds, as in Flask.
    pub fn verify(&self, text: &str, max_age: Duration, now: Time) -> Result<VerifiedCookie, CookieRejection> {
        if text.len() > MAX_TEXT {
            return Err(CookieRejection::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(CookieRejection::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| CookieRejection::Malformed)?;
        if !self.keys.iter().any(|key| key.derived.verifies(signed.as_bytes(), &signature)) {
            return Err(CookieRejection::BadSignature);
        }
        let (payload, seconds) = signed.rsplit_once('.').ok_or(CookieRejection::Malformed)?;
        let issued = decode_seconds(seconds).ok_or(CookieRejection::Malformed)?;
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

    /// Writes a cookie, signed at `now`, that Flask reads as the same session.
    ///
    /// It equals Flask's own byte for byte unless it is compressed, for implementations of zlib differ. An entry
    /// `_permanent` is ignored: `permanent` is written in its place.
    pub fn sign(&self, entries: &Entries, permanent: Option<bool>, now: Time) -> Result<String, SignError> {
        let mut text = payload::encode(entries, permanent)?;
        text.push('.');
        let seconds = now.seconds().to_be_bytes();
        let zeros = seconds.iter().take_while(|byte| **byte == 0).count();
        URL_SAFE_NO_PAD.encode_string(&seconds[zeros..], &mut text);
        let key = self.keys.first().expect("a signer always has a key");
        let signature = key.derived.sign(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(text)
    }
}

/// Decodes a number of at most eight bytes, the highest first; no bytes are 0.
fn decode_seconds(text: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= 8)?;
    Some(bytes.iter().fold(0, |seconds, byte| seconds << 8 | u64::from(*byte)))
}

/// The longest cookie: the longest payload in base64, and room for time and signature.
const MAX_TEXT: usize = MAX_JSON_BYTES / 3 * 4 + 256;
