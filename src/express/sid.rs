//! The session's id in a cookie: `s:`, the id, a dot and its signature, percent-encoded.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::signing::{KeysError, key_ids};

/// Checks the ids that one Express application signs.
#[derive(Clone)]
pub struct Signer {
    /// Never empty.
    keys: Box<[Hmac<Sha256>]>,
}

impl Signer {
    /// Makes a signer with the `secret` of express-session; if that is a list, with all of it, in any order.
    pub fn new<K: AsRef<[u8]>>(secrets: &[K]) -> Result<Self, KeysError> {
        key_ids(secrets)?;
        let key = |secret: &K| Hmac::new_from_slice(secret.as_ref()).expect("HMAC accepts a key of any length");
        Ok(Self { keys: secrets.iter().map(key).collect() })
    }

    /// Reads a cookie as it is in the header.
    pub fn verify(&self, cookie: &str) -> Result<Sid, SidRejection> {
        let decoded = percent_decode(cookie).ok_or(SidRejection::Malformed)?;
        let signed = decoded.strip_prefix("s:").ok_or(SidRejection::Malformed)?;
        let (sid, signature) = signed.rsplit_once('.').ok_or(SidRejection::Malformed)?;
        let signature = STANDARD_NO_PAD.decode(signature).map_err(|_| SidRejection::Malformed)?;
        if !self.keys.iter().any(|key| key.clone().chain_update(sid).verify_slice(&signature).is_ok()) {
            return Err(SidRejection::BadSignature);
        }
        if (1..=MAX_BYTES).contains(&sid.len()) { Ok(Sid(sid.into())) } else { Err(SidRejection::Malformed) }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// A session's id whose signature is valid. The application may make ids of any form, by `genid`.
///
/// Never printed, because with a key it is all that is needed to open the session.
#[derive(Clone, PartialEq, Eq)]
pub struct Sid(Box<str>);

impl Sid {
    /// The id as text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sid(..)")
    }
}

/// Why a cookie is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SidRejection {
    Malformed,
    BadSignature,
}

/// Whether a value begins as a cookie of express-session does.
pub fn looks_like_cookie(value: &str) -> bool {
    ["s%3A", "s%3a", "s:"].iter().any(|prefix| value.starts_with(prefix))
}

/// Decodes what `encodeURIComponent` encodes; `None` where `decodeURIComponent` throws an error.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    let Some(first) = text.find('%') else { return Some(Cow::Borrowed(text)) };
    let mut decoded = text.as_bytes()[..first].to_vec();
    let mut rest = &text.as_bytes()[first..];
    while let [byte, after @ ..] = rest {
        rest = after;
        decoded.push(match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                hex_digit(*high)? << 4 | hex_digit(*low)?
            }
            (b'%', _) => return None,
            (byte, _) => *byte,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The longest id that is looked up.
const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_decoded_as_javascript_decodes_it() {
        let table = [
            ("s%3Aa.b%2Bc%2F", Some("s:a.b+c/")),
            ("s:a+b", Some("s:a+b")),
            ("%c3%A9", Some("é")),
            ("%", None),
            ("%4", None),
            ("%+1", None),
            ("%zz", None),
            ("%ff", None),
        ];

        for (text, decoded) in table {
            assert_eq!(percent_decode(text).as_deref(), decoded, "{text}");
        }
    }

    #[test]
    fn a_cookie_without_a_signature_is_refused() {
        let signer = Signer::new(&["secret"]).unwrap();

        for cookie in ["", "s:", "s:sid", "sid.AAAA", "s%3Asid.*", "s%3Asid.AAAA="] {
            assert_eq!(signer.verify(cookie), Err(SidRejection::Malformed), "{cookie}");
        }
        assert_eq!(signer.verify("s%3Asid.AAAA"), Err(SidRejection::BadSignature));
    }
}
