//! Reads JSON as Python's `json` does, and the tags in it as Flask's serializer does.
//!
//! Unlike serde_json, Python reads `NaN`, `Infinity`, exact integers of any size and lone surrogates. It refuses integers
//! of more than 4300 digits. The depth has a limit, so that no text can exhaust a stack, here or in a client.

use super::tag::untag;
use super::text::PyText;
use super::value::{PyValue, to_dict};
use crate::session::line_and_column;

/// The most levels of lists and dicts in one value.
pub const MAX_DEPTH: usize = 127;

/// The most digits of an integer in Python (`sys.int_info.default_max_str_digits`).
pub const MAX_DIGITS: usize = 4300;

/// Reads one value, nested at most `max_depth` deep, as a Python object.
pub(super) fn read(json: &str, max_depth: usize) -> Result<PyValue, JsonError> {
    read_as(&PyObjects, json, max_depth)
}

/// Reads one value, nested at most `max_depth` deep, into what `builder` makes of it.
pub(super) fn read_as<B: Build>(builder: &B, json: &str, max_depth: usize) -> Result<B::Value, JsonError> {
    JsonReader { builder, json, at: 0, depth_left: max_depth }.whole_text(JsonReader::value)
}

/// Reads the items of one object, nested at most `max_depth` deep, in their order.
pub(super) fn read_items<'j, B: Build>(
    builder: &B,
    json: &'j str,
    max_depth: usize,
) -> Result<Vec<(Key<'j>, B::Value)>, JsonError> {
    JsonReader { builder, json, at: 0, depth_left: max_depth }.whole_text(|reader| {
        reader.space();
        if reader.peek() == Some(b'{') { reader.nested(JsonReader::items) } else { Err(JsonFlaw::Syntax) }
    })
}

/// Builds a value from what the reader finds: Python objects, or JSON text again.
pub(super) trait Build {
    type Value;

    /// A string, a number or a word; `text` is how it was written.
    fn scalar(&self, text: &str, value: PyValue) -> Result<Self::Value, JsonFlaw>;

    fn list(&self, items: Vec<Self::Value>) -> Self::Value;

    /// The items in their order; a key may be there twice.
    fn dict(&self, items: Vec<(Key<'_>, Self::Value)>) -> Result<Self::Value, JsonFlaw>;
}

/// The key of an item.
pub(super) struct Key<'j> {
    /// How it was written, with its quotes.
    pub(super) text: &'j str,
    pub(super) name: PyText,
}

struct PyObjects;

impl Build for PyObjects {
    type Value = PyValue;

    fn scalar(&self, _: &str, value: PyValue) -> Result<PyValue, JsonFlaw> {
        match &value {
            PyValue::Int(digits) if digits.trim_start_matches('-').len() > MAX_DIGITS => Err(JsonFlaw::Digits),
            _ => Ok(value),
        }
    }

    fn list(&self, items: Vec<PyValue>) -> PyValue {
        PyValue::List(items)
    }

    fn dict(&self, items: Vec<(Key<'_>, PyValue)>) -> Result<PyValue, JsonFlaw> {
        untag(to_dict(items.into_iter().map(|(key, value)| (key.name, value)))).map_err(JsonFlaw::Tag)
    }
}

struct JsonReader<'j, 'b, B> {
    builder: &'b B,
    json: &'j str,
    at: usize,
    /// How many levels deeper the text may still be nested.
    depth_left: usize,
}

impl<'j, B: Build> JsonReader<'j, '_, B> {
    fn whole_text<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, JsonFlaw>) -> Result<T, JsonError> {
        let value = read(&mut self).and_then(|value| {
            self.space();
            if self.at == self.json.len() { Ok(value) } else { Err(JsonFlaw::Syntax) }
        });
        value.map_err(|flaw| JsonError::new(self.json, self.at, flaw))
    }

    fn value(&mut self) -> Result<B::Value, JsonFlaw> {
        self.space();
        match self.peek() {
            Some(b'{') => {
                let items = self.nested(Self::items)?;
                self.builder.dict(items)
            }
            Some(b'[') => {
                let items = self.nested(Self::list)?;
                Ok(self.builder.list(items))
            }
            first => {
                let start = self.at;
                let value = if first == Some(b'"') { PyValue::Str(self.text()?) } else { self.word()? };
                self.builder.scalar(&self.json[start..self.at], value)
            }
        }
    }

    fn word(&mut self) -> Result<PyValue, JsonFlaw> {
        match WORDS.iter().find(|(word, _)| self.rest().starts_with(word)) {
            Some((word, value)) => {
                self.at += word.len();
                Ok(value.clone())
            }
            None => self.number(),
        }
    }

    fn nested<T>(&mut self, read: fn(&mut Self) -> Result<T, JsonFlaw>) -> Result<T, JsonFlaw> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(JsonFlaw::Depth)?;
        self.at += 1;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Vec<B::Value>, JsonFlaw> {
        let mut items = Vec::new();
        if self.takes(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value()?);
            match self.token() {
                Some(b',') => {}
                Some(b']') => return Ok(items),
                _ => return Err(JsonFlaw::Syntax),
            }
        }
    }

    fn items(&mut self) -> Result<Vec<(Key<'j>, B::Value)>, JsonFlaw> {
        let mut items = Vec::new();
        if self.takes(b'}') {
            return Ok(items);
        }
        loop {
            self.space();
            let start = self.at;
            let name = if self.peek() == Some(b'"') { self.text()? } else { return Err(JsonFlaw::Syntax) };
            let key = Key { text: &self.json[start..self.at], name };
            if self.token() != Some(b':') {
                return Err(JsonFlaw::Syntax);
            }
            items.push((key, self.value()?));
            match self.token() {
                Some(b',') => {}
                Some(b'}') => return Ok(items),
                _ => return Err(JsonFlaw::Syntax),
            }
        }
    }

    /// Reads from one quote to the next.
    fn text(&mut self) -> Result<PyText, JsonFlaw> {
        self.at += 1;
        let mut text = PyText::default();
        loop {
            let plain =
                self.rest().bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..b' ')).ok_or(JsonFlaw::Syntax)?;
            text.push_str(&self.rest()[..plain]);
            self.at += plain;
            match self.next() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => text.push(self.escaped()?),
                _ => return Err(JsonFlaw::Syntax),
            }
        }
    }

    fn escaped(&mut self) -> Result<u32, JsonFlaw> {
        Ok(match self.next().ok_or(JsonFlaw::Syntax)? {
            plain @ (b'"' | b'\\' | b'/') => u32::from(plain),
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'u' => {
                let unit = self.unit().ok_or(JsonFlaw::Syntax)?;
                self.join_surrogates(unit).unwrap_or(unit)
            }
            _ => return Err(JsonFlaw::Syntax),
        })
    }

    /// Returns the code point if `high` is the first half of a surrogate pair and the second half follows.
    fn join_surrogates(&mut self, high: u32) -> Option<u32> {
        let start = self.at;
        let low = match high {
            0xd800..0xdc00 if self.rest().starts_with("\\u") => {
                self.at += 2;
                self.unit().filter(|low| (0xdc00..0xe000).contains(low))
            }
            _ => None,
        };
        if low.is_none() {
            self.at = start;
        }
        low.map(|low| 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00)))
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Result<PyValue, JsonFlaw> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let first = self.peek();
        let whole = self.digits()?;
        if first == Some(b'0') && whole > 1 {
            return Err(JsonFlaw::Syntax);
        }
        let mut is_float = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_float = true;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
            is_float = true;
        }
        let text = &self.json[start..self.at];
        match text {
            _ if is_float => text.parse().map(PyValue::Float).map_err(|_| JsonFlaw::Syntax),
            "-0" => Ok(PyValue::Int("0".into())),
            _ => Ok(PyValue::Int(text.into())),
        }
    }

    /// Passes over digits, at least one, and returns their number.
    fn digits(&mut self) -> Result<usize, JsonFlaw> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        if count > 0 { Ok(count) } else { Err(JsonFlaw::Syntax) }
    }

    fn token(&mut self) -> Option<u8> {
        self.space();
        self.next()
    }

    fn takes(&mut self, token: u8) -> bool {
        self.space();
        let takes = self.peek() == Some(token);
        self.at += usize::from(takes);
        takes
    }

    fn space(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'j str {
        self.json.get(self.at..).unwrap_or_default()
    }
}

/// The text is not a value that Flask could load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flaw}: line {line}, column {column}")]
pub struct JsonError {
    pub flaw: JsonFlaw,
    /// Counted from 1.
    pub line: usize,
    /// Counted in bytes from 1.
    pub column: usize,
}

impl JsonError {
    fn new(json: &str, at: usize, flaw: JsonFlaw) -> Self {
        let (line, column) = line_and_column(json, at.min(json.len()));
        Self { flaw, line, column }
    }
}

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFlaw {
    #[error("json is not JSON text as Python reads it")]
    Syntax,
    #[error("json is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("json has an integer of more than {MAX_DIGITS} digits, which Python refuses")]
    Digits,
    #[error("json has a value under Flask's tag `{0}` that Flask can not load")]
    Tag(&'static str),
}

const WORDS: [(&str, PyValue); 6] = [
    ("null", PyValue::None),
    ("true", PyValue::Bool(true)),
    ("false", PyValue::Bool(false)),
    ("NaN", PyValue::Float(f64::NAN)),
    ("Infinity", PyValue::Float(f64::INFINITY)),
    ("-Infinity", PyValue::Float(f64::NEG_INFINITY)),
];
