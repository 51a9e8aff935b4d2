//! The session's id as a cookie holds it: bare, or with Flask-Session's signature behind it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// A session's id: opens the session that it names. Never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sid<'c>(&'c str);

impl<'c> Sid<'c> {
    /// Reads a cookie. With keys, it has to be signed with one of them; without, it must not be signed.
    pub fn parse(cookie: &'c str, keys: &[SidKey]) -> Result<Self, SidRejection> {
        let sid = match (keys, cookie.split_once('.')) {
            ([], None) => cookie,
            ([], Some(_)) | (_, None) => return Err(SidRejection::Malformed),
            (keys, Some((sid, signature))) => {
                let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| SidRejection::Malformed)?;
                let is_right = |key: &SidKey| key.0.clone().chain_update(sid).verify_slice(&signature).is_ok();
                if !keys.iter().any(is_right) {
                    return Err(SidRejection::BadSignature);
                }
                sid
            }
        };
        let is_one = (MIN_BYTES..=MAX_BYTES).contains(&sid.len()) && sid.bytes().all(is_sid_byte);
        if is_one { Ok(Self(sid)) } else { Err(SidRejection::Malformed) }
    }

    /// The id as text.
    pub const fn as_str(&self) -> &'c str {
        self.0
    }
}

impl fmt::Debug for Sid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sid(..)")
    }
}

/// What Flask-Session signs ids with, where the application sets `SESSION_USE_SIGNER`.
#[derive(Clone)]
pub struct SidKey(Hmac<Sha1>);

impl SidKey {
    /// The key of a Flask application's `SECRET_KEY`, as itsdangerous derives it.
    pub fn new(secret: &[u8]) -> Self {
        let derived = hmac(secret).chain_update(SALT).finalize().into_bytes();
        Self(hmac(&derived))
    }
}

impl fmt::Debug for SidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SidKey(..)")
    }
}

/// Why a cookie holds no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SidRejection {
    /// Not written as one.
    Malformed,
    /// The signature is wrong.
    BadSignature,
}

fn hmac(key: &[u8]) -> Hmac<Sha1> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// What `secrets.token_urlsafe` makes, and what `uuid4` made in earlier versions.
const fn is_sid_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

const SALT: &[u8] = b"flask-session";

/// Of 12 bytes in base64: a shorter id could be guessed.
const MIN_BYTES: usize = 16;
const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF-";

    #[test]
    fn an_id_stands_alone_where_nothing_is_signed() {
        assert_eq!(Sid::parse(SID, &[]).unwrap().as_str(), SID);
        for cookie in ["", "short", "../../../../../etc/passwd", &format!("{SID}.AAAA"), &"a".repeat(257)] {
            assert_eq!(Sid::parse(cookie, &[]), Err(SidRejection::Malformed), "{cookie}");
        }
    }

    #[test]
    fn an_id_without_a_signature_is_none_where_they_are_signed() {
        let keys = [SidKey::new(b"secret")];

        assert_eq!(Sid::parse(SID, &keys), Err(SidRejection::Malformed));
        let signed = format!("{SID}.{}", URL_SAFE_NO_PAD.encode([0; 20]));
        assert_eq!(Sid::parse(&signed, &keys), Err(SidRejection::BadSignature));
    }
}
