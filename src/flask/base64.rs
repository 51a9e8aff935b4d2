//! Base64 as Python's `b64decode` reads it: characters outside the alphabet are ignored, and all after the padding.
//!
//! Only for bytes inside a signed payload. The payload and its signature have one spelling.

use ::base64::Engine as _;
use ::base64::alphabet::STANDARD;
use ::base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Decodes base64; `None` where Python raises an error.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (mut digits, mut pads) = (Vec::with_capacity(text.len()), 0);
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                digits.push(*byte);
                pads = 0;
            }
            b'=' if digits.len() % 4 >= 2 => {
                pads += 1;
                if digits.len() % 4 + pads == 4 {
                    return ENGINE.decode(digits).ok();
                }
            }
            _ => {}
        }
    }
    if digits.len().is_multiple_of(4) { ENGINE.decode(digits).ok() } else { None }
}

/// Without padding, which [`decode`] checks; Python does not check that unused bits are zero.
const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_outside_the_alphabet_are_ignored() {
        assert_eq!(decode(b"/wD+").unwrap(), b"\xff\x00\xfe");
        assert_eq!(decode(b"/w\nD*+").unwrap(), b"\xff\x00\xfe");
        assert_eq!(decode(b"YQ==").unwrap(), b"a");
        assert_eq!(decode(b"=YQ==and more").unwrap(), b"a");
        assert_eq!(decode(b"").unwrap(), b"");
    }

    #[test]
    fn missing_or_misplaced_padding_is_refused() {
        for text in ["Y", "YQ", "YQ=", "YWE", "YQ=a", "YWFhY"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
