//! The session's id in a cookie: alone, or followed by Flask-Session's signature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// A session's id. Never printed, because it is all that is needed to open the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sid<'c>(&'c str);

impl<'c> Sid<'c> {
    /// Reads a cookie, which has to be signed with one of `keys`, or unsigned if there are none.
    pub fn parse(cookie: &'c str, keys: &[SidKey]) -> Result<Self, SidRejection> {
        let sid = match (keys, cookie.split_once('.')) {
            ([], None) => cookie,
            ([], Some(_)) | (_, None) => return Err(SidRejection::Malformed),
            (keys, Some((sid, signature))) => {
                let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| SidRejection::Malformed)?;
                let is_valid = |key: &SidKey| key.0.clone().chain_update(sid).verify_slice(&signature).is_ok();
                if !keys.iter().any(is_valid) {
                    return Err(SidRejection::BadSignature);
                }
                sid
            }
        };
        let is_sid = (MIN_BYTES..=MAX_BYTES).contains(&sid.len()) && sid.bytes().all(is_sid_byte);
        if is_sid { Ok(Self(sid)) } else { Err(SidRejection::Malformed) }
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

/// A key that Flask-Session signs ids with if the application sets `SESSION_USE_SIGNER`.
#[derive(Clone)]
pub struct SidKey(Hmac<Sha1>);

impl SidKey {
    /// Derives the key from a Flask application's `SECRET_KEY`, as itsdangerous does.
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

/// Why a cookie is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SidRejection {
    Malformed,
    BadSignature,
}

fn hmac(key: &[u8]) -> Hmac<Sha1> {
    Hmac::new_from_slice(key).expect("HMAC accepts a key of any length")
}

/// Whether the byte is one of `secrets.token_urlsafe` or, in earlier versions, of `uuid4`.
const fn is_sid_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

const SALT: &[u8] = b"flask-session";

/// 12 bytes in base64: a shorter id could be guessed.
const MIN_BYTES: usize = 16;
const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF-";

    #[test]
    fn without_keys_an_id_is_unsigned() {
        assert_eq!(Sid::parse(SID, &[]).unwrap().as_str(), SID);
        for cookie in ["", "short", "../../../../../etc/passwd", &format!("{SID}.AAAA"), &"a".repeat(257)] {
            assert_eq!(Sid::parse(cookie, &[]), Err(SidRejection::Malformed), "{cookie}");
        }
    }

    #[test]
    fn with_keys_an_id_without_a_valid_signature_is_refused() {
        let keys = [SidKey::new(b"secret")];

        assert_eq!(Sid::parse(SID, &keys), Err(SidRejection::Malformed));
        let signed = format!("{SID}.{}", URL_SAFE_NO_PAD.encode([0; 20]));
        assert_eq!(Sid::parse(&signed, &keys), Err(SidRejection::BadSignature));
    }
}
