//! The value of one entry: JSON text, or raw bytes.
//!
//! Every store has the same bytes: JSON text as it is, raw bytes after a zero byte, which no JSON text begins with. A
//! store can add to a counter without decoding anything.

use std::fmt;

use serde::de::IgnoredAny;

/// The value of one entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Vec<u8>);

impl Value {
    /// Checks JSON text against RFC 8259 and leaves it as it is.
    pub fn json(text: String) -> Result<Self, ValueError> {
        if let Err(error) = serde_json::from_str::<IgnoredAny>(&text) {
            return Err(ValueError { line: error.line(), column: error.column() });
        }
        if let Some(position) = find_too_deep(&text) {
            let (line, column) = line_and_column(&text, position);
            return Err(ValueError { line, column });
        }
        Ok(Self(text.into_bytes()))
    }

    /// Takes JSON text that another module has checked, such as the reader of Flask's cookie.
    pub(crate) fn checked_json(text: String) -> Self {
        Self(text.into_bytes())
    }

    /// Takes bytes of any content.
    pub fn raw(bytes: &[u8]) -> Self {
        let mut stored = Vec::with_capacity(bytes.len() + 1);
        stored.push(RAW);
        stored.extend_from_slice(bytes);
        Self(stored)
    }

    /// A counter with the value `number`.
    pub fn counter(number: i64) -> Self {
        Self(number.to_string().into_bytes())
    }

    /// The bytes to store.
    pub fn stored(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}

/// A stored value, by its kind.
#[expect(missing_debug_implementations, reason = "it would print what a session holds")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ValueKind<'v> {
    Json(&'v str),
    Raw(&'v [u8]),
}

impl<'v> ValueKind<'v> {
    /// Reads a stored value; `None` if it is neither raw nor UTF-8.
    pub fn decode(stored: &'v [u8]) -> Option<Self> {
        match stored.split_first() {
            Some((&RAW, raw)) => Some(Self::Raw(raw)),
            _ => std::str::from_utf8(stored).ok().map(Self::Json),
        }
    }
}

/// The text is not accepted as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("json is not RFC 8259 text of at most 127 levels: line {line}, column {column}")]
pub struct ValueError {
    /// Counted from 1.
    pub line: usize,
    /// Counted in bytes from 1.
    pub column: usize,
}

/// Returns the line and the column, both from 1, of the byte at `position`.
pub(crate) fn line_and_column(text: &str, position: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..position];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, position - line_start + 1)
}

/// Reads a stored value as a counter: a decimal int64 in its canonical spelling, without spaces or plus.
pub fn counter(stored: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(stored).ok()?;
    let number = text.parse::<i64>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Finds where valid JSON is nested deeper than [`MAX_DEPTH`]: clients may read it recursively.
///
/// serde_json's own limit would need a full parse, which refuses lone surrogates and numbers beyond f64.
fn find_too_deep(json: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (position, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(position);
        }
    }
    None
}

const MAX_DEPTH: usize = 127;

const RAW: u8 = 0;
