//! The signer: the keys and the salt of one Django application, and the text around a payload.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::SessionRejection;
use super::session::DecodedSession;
use crate::signing::{KeysError, MAX_JSON_BYTES, decode_payload, key_ids};
use crate::types::Time;

/// Django's salt for session cookies.
pub const COOKIE_SALT: &str = "django.contrib.sessions.backends.signed_cookies";

/// Django's salt for the rows of `django_session`. It ends with the name of the class of the backend.
pub const ROW_SALT: &str = "django.contrib.sessions.SessionStore";

/// Checks what one Django application signs with one salt, as Django's `TimestampSigner` does.
#[derive(Clone)]
pub struct Signer {
    /// Never empty.
    keys: Box<[Hmac<Sha256>]>,
}

/// A text with a valid signature.
pub(super) struct SignedText<'t> {
    /// The signed payload, still encoded.
    pub(super) payload: &'t str,
    /// When it was signed, to the second.
    pub(super) issued: Time,
    /// The decoded signature, which identifies the text.
    pub(super) signature: Vec<u8>,
}

impl Signer {
    /// Makes a signer with a Django application's `SECRET_KEY` and its `SECRET_KEY_FALLBACKS`, in any order.
    pub fn new<K: AsRef<[u8]>>(keys: &[K], salt: &str) -> Result<Self, KeysError> {
        key_ids(keys)?;
        Ok(Self { keys: keys.iter().map(|secret| derive(secret.as_ref(), salt)).collect() })
    }

    /// Reads the text of a row. Like Django, it does not ask how old the text is: the row has a date of its own.
    pub fn verify_row(&self, text: &[u8]) -> Result<DecodedSession, SessionRejection> {
        let text = std::str::from_utf8(text).map_err(|_| SessionRejection::Malformed)?;
        self.unsign(text)?.decode()
    }

    /// Checks the signature in constant time.
    pub(super) fn unsign<'t>(&self, text: &'t str) -> Result<SignedText<'t>, SessionRejection> {
        if text.len() > MAX_TEXT {
            return Err(SessionRejection::Malformed);
        }
        let (signed, signature) = text.rsplit_once(SEPARATOR).ok_or(SessionRejection::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| SessionRejection::Malformed)?;
        let is_valid = |key: &Hmac<Sha256>| key.clone().chain_update(signed).verify_slice(&signature).is_ok();
        if !self.keys.iter().any(is_valid) {
            return Err(SessionRejection::BadSignature);
        }
        let (payload, seconds) = signed.rsplit_once(SEPARATOR).ok_or(SessionRejection::Malformed)?;
        let seconds = decode_base62(seconds).ok_or(SessionRejection::Malformed)?;
        Ok(SignedText { payload, issued: Time::from_seconds(seconds), signature })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl SignedText<'_> {
    pub(super) fn decode(&self) -> Result<DecodedSession, SessionRejection> {
        DecodedSession::decode(&decode_payload(self.payload)?)
    }
}

/// Derives a key as Django's `salted_hmac` does.
fn derive(secret: &[u8], salt: &str) -> Hmac<Sha256> {
    let key = Sha256::new().chain_update(salt).chain_update(b"signer").chain_update(secret).finalize();
    Hmac::new_from_slice(&key).expect("HMAC accepts a key of any length")
}

/// Reads a number to the base 62. One that is too large for 64 bits becomes the largest.
fn decode_base62(text: &str) -> Option<u64> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    };
    let add = |number: u64, byte| Some(number.saturating_mul(62).saturating_add(digit(byte)?.into()));
    if text.is_empty() { None } else { text.bytes().try_fold(0, add) }
}

const SEPARATOR: char = ':';

/// The longest text: the longest payload in base64, and room for time and signature.
const MAX_TEXT: usize = MAX_JSON_BYTES / 3 * 4 + 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_to_the_base_62_are_read_as_django_reads_them() {
        let table = [
            ("0", Some(0)),
            ("z", Some(61)),
            ("10", Some(62)),
            ("1r31eq", Some(1_700_000_000)),
            ("001r31eq", Some(1_700_000_000)),
            ("zzzzzzzzzzzzzzzz", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("1 ", None),
            ("1\u{e9}", None),
        ];

        for (text, number) in table {
            assert_eq!(decode_base62(text), number, "{text}");
        }
    }
}
