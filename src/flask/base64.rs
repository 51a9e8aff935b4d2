//! Base64 as Python's `b64decode` reads it: what is not of the alphabet does not count.
//!
//! For what stands inside a signed payload alone. What is signed, and the signature, have one spelling.

/// The bytes; nothing if Python raises.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut place, mut pads, mut left) = (0_u8, 0_u8, 0_u8);
    for byte in text {
        if *byte == b'=' {
            if place >= 2 {
                pads = pads.saturating_add(1);
                if place.saturating_add(pads) >= 4 {
                    return Some(bytes);
                }
            }
            continue;
        }
        let Some(six) = six_bits(*byte) else { continue };
        pads = 0;
        match place {
            0 => {}
            1 => bytes.push(left << 2 | six >> 4),
            2 => bytes.push(left << 4 | six >> 2),
            _ => bytes.push(left << 6 | six),
        }
        left = six;
        place = (place + 1) % 4;
    }
    (place == 0).then_some(bytes)
}

const fn six_bits(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_alphabet_does_not_count() {
        assert_eq!(decode(b"/wD+").unwrap(), b"\xff\x00\xfe");
        assert_eq!(decode(b"/w\nD*+").unwrap(), b"\xff\x00\xfe");
        assert_eq!(decode(b"YQ==").unwrap(), b"a");
        assert_eq!(decode(b"=YQ==and more").unwrap(), b"a");
        assert_eq!(decode(b"").unwrap(), b"");
    }

    #[test]
    fn a_padding_that_does_not_fit_is_refused() {
        for text in ["Y", "YQ", "YQ=", "YWE", "YQ=a", "YWFhY"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
