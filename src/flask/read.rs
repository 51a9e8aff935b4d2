//! Reads JSON as Python's `json` does, and the tags in it as Flask's serializer does.
//!
//! Unlike serde_json, Python reads `NaN`, `Infinity`, exact integers of any size and lone surrogates. It refuses
//! integers of more than 4300 digits. The depth has a limit, so that no text can exhaust a stack, here or in a client.

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
    JsonReader { builder, json, position: 0, depth_left: max_depth }.read_whole(JsonReader::read_value)
}

/// Reads the items of one object, nested at most `max_depth` deep, in their order.
pub(super) fn read_items<'j, B: Build>(
    builder: &B,
    json: &'j str,
    max_depth: usize,
) -> Result<Vec<(ItemKey<'j>, B::Value)>, JsonError> {
    JsonReader { builder, json, position: 0, depth_left: max_depth }.read_whole(|reader| {
        reader.skip_space();
        if reader.peek() == Some(b'{') { reader.read_nested(JsonReader::read_items) } else { Err(JsonFlaw::Syntax) }
    })
}

/// Builds a value from what the reader finds: Python objects, or JSON text again.
pub(super) trait Build {
    type Value;

    /// A string, a number or a word; `text` is how it was written.
    fn scalar(&self, text: &str, value: PyValue) -> Result<Self::Value, JsonFlaw>;

    fn list(&self, items: Vec<Self::Value>) -> Self::Value;

    /// The items in their order; a key may be there twice.
    fn dict(&self, items: Vec<(ItemKey<'_>, Self::Value)>) -> Result<Self::Value, JsonFlaw>;
}

/// The key of an item.
pub(super) struct ItemKey<'j> {
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

    fn dict(&self, items: Vec<(ItemKey<'_>, PyValue)>) -> Result<PyValue, JsonFlaw> {
        untag(to_dict(items.into_iter().map(|(key, value)| (key.name, value)))).map_err(JsonFlaw::Tag)
    }
}

struct JsonReader<'j, 'b, B> {
    builder: &'b B,
    json: &'j str,
    position: usize,
    /// How many levels deeper the text may still be nested.
    depth_left: usize,
}

impl<'j, B: Build> JsonReader<'j, '_, B> {
    fn read_whole<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, JsonFlaw>) -> Result<T, JsonError> {
        let value = read(&mut self).and_then(|value| {
            self.skip_space();
            if self.position == self.json.len() { Ok(value) } else { Err(JsonFlaw::Syntax) }
        });
        value.map_err(|flaw| JsonError::new(self.json, self.position, flaw))
    }

    fn read_value(&mut self) -> Result<B::Value, JsonFlaw> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => {
                let items = self.read_nested(Self::read_items)?;
                self.builder.dict(items)
            }
            Some(b'[') => {
                let items = self.read_nested(Self::read_list)?;
                Ok(self.builder.list(items))
            }
            first => {
                let start = self.position;
                let value = if first == Some(b'"') { PyValue::Str(self.read_text()?) } else { self.read_word()? };
                self.builder.scalar(&self.json[start..self.position], value)
            }
        }
    }

    fn read_word(&mut self) -> Result<PyValue, JsonFlaw> {
        match WORDS.iter().find(|(word, _)| self.rest().starts_with(word)) {
            Some((word, value)) => {
                self.position += word.len();
                Ok(value.clone())
            }
            None => self.read_number(),
        }
    }

    fn read_nested<T>(&mut self, read: fn(&mut Self) -> Result<T, JsonFlaw>) -> Result<T, JsonFlaw> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(JsonFlaw::Depth)?;
        self.position += 1;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn read_list(&mut self) -> Result<Vec<B::Value>, JsonFlaw> {
        let mut items = Vec::new();
        if self.skip(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.read_value()?);
            match self.next_token() {
                Some(b',') => {}
                Some(b']') => return Ok(items),
                _ => return Err(JsonFlaw::Syntax),
            }
        }
    }

    fn read_items(&mut self) -> Result<Vec<(ItemKey<'j>, B::Value)>, JsonFlaw> {
        let mut items = Vec::new();
        if self.skip(b'}') {
            return Ok(items);
        }
        loop {
            self.skip_space();
            let start = self.position;
            let name = if self.peek() == Some(b'"') { self.read_text()? } else { return Err(JsonFlaw::Syntax) };
            let key = ItemKey { text: &self.json[start..self.position], name };
            if self.next_token() != Some(b':') {
                return Err(JsonFlaw::Syntax);
            }
            items.push((key, self.read_value()?));
            match self.next_token() {
                Some(b',') => {}
                Some(b'}') => return Ok(items),
                _ => return Err(JsonFlaw::Syntax),
            }
        }
    }

    /// Reads from one quote to the next.
    fn read_text(&mut self) -> Result<PyText, JsonFlaw> {
        self.position += 1;
        let mut text = PyText::default();
        loop {
            let plain =
                self.rest().bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..b' ')).ok_or(JsonFlaw::Syntax)?;
            text.push_str(&self.rest()[..plain]);
            self.position += plain;
            match self.next_byte() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => text.push(self.read_escape()?),
                _ => return Err(JsonFlaw::Syntax),
            }
        }
    }

    fn read_escape(&mut self) -> Result<u32, JsonFlaw> {
        Ok(match self.next_byte().ok_or(JsonFlaw::Syntax)? {
            plain @ (b'"' | b'\\' | b'/') => u32::from(plain),
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'u' => {
                let unit = self.read_unit().ok_or(JsonFlaw::Syntax)?;
                self.join_surrogates(unit).unwrap_or(unit)
            }
            _ => return Err(JsonFlaw::Syntax),
        })
    }

    /// Returns the code point if `high` is the first half of a surrogate pair and the second half follows.
    fn join_surrogates(&mut self, high: u32) -> Option<u32> {
        let start = self.position;
        let low = match high {
            0xd800..0xdc00 if self.rest().starts_with("\\u") => {
                self.position += 2;
                self.read_unit().filter(|low| (0xdc00..0xe000).contains(low))
            }
            _ => None,
        };
        if low.is_none() {
            self.position = start;
        }
        low.map(|low| 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00)))
    }

    fn read_unit(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        self.position += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn read_number(&mut self) -> Result<PyValue, JsonFlaw> {
        let start = self.position;
        self.position += usize::from(self.peek() == Some(b'-'));
        let first = self.peek();
        let whole = self.skip_digits()?;
        if first == Some(b'0') && whole > 1 {
            return Err(JsonFlaw::Syntax);
        }
        let mut is_float = false;
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.skip_digits()?;
            is_float = true;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            self.position += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.skip_digits()?;
            is_float = true;
        }
        let text = &self.json[start..self.position];
        match text {
            _ if is_float => text.parse().map(PyValue::Float).map_err(|_| JsonFlaw::Syntax),
            "-0" => Ok(PyValue::Int("0".into())),
            _ => Ok(PyValue::Int(text.into())),
        }
    }

    /// Passes over digits, at least one, and returns their number.
    fn skip_digits(&mut self) -> Result<usize, JsonFlaw> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.position += count;
        if count > 0 { Ok(count) } else { Err(JsonFlaw::Syntax) }
    }

    fn next_token(&mut self) -> Option<u8> {
        self.skip_space();
        self.next_byte()
    }

    fn skip(&mut self, token: u8) -> bool {
        self.skip_space();
        let is_next = self.peek() == Some(token);
        self.position += usize::from(is_next);
        is_next
    }

    fn skip_space(&mut self) {
        self.position += self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn next_byte(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.position += 1;
        Some(next)
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.position).copied()
    }

    fn rest(&self) -> &'j str {
        self.json.get(self.position..).unwrap_or_default()
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
    fn new(json: &str, position: usize, flaw: JsonFlaw) -> Self {
        let (line, column) = line_and_column(json, position.min(json.len()));
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
