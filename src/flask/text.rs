//! A Python `str`: text that may have lone surrogates, which a Rust `str` cannot have.

/// Code points in UTF-8, extended to surrogates. The order of the bytes is the order of the code points.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PyText(Vec<u8>);

impl PyText {
    pub(super) fn push(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) => self.push_str(c.encode_utf8(&mut [0; 4])),
            None => {
                self.0.extend([0xe0 | low_bits(code >> 12, 4), 0x80 | low_bits(code >> 6, 6), 0x80 | low_bits(code, 6)])
            }
        }
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The text; `None` if it has a lone surrogate.
    pub(super) fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The code points, surrogates included.
    pub(super) fn code_points(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.chunk_by(|_, next| next & 0xc0 == 0x80).map(|bytes| match *bytes {
            [a] => u32::from(a),
            [a, ref rest @ ..] => {
                let first = u32::from(a) & (0x7f >> (rest.len() + 1));
                rest.iter().fold(first, |code, byte| code << 6 | u32::from(byte & 0x3f))
            }
            [] => 0,
        })
    }
}

impl From<&str> for PyText {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

fn low_bits(number: u32, bits: u32) -> u8 {
    (number & ((1 << bits) - 1)) as u8
}
