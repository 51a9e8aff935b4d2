//! The Python objects that a session can contain.

use std::collections::BTreeMap;

use super::text::PyText;

/// One object. It has no `Debug`, which would print the content of a session.
#[derive(Clone, PartialEq)]
pub(super) enum PyValue {
    None,
    Bool(bool),
    /// The decimal digits as Python writes them: an integer of any size.
    Int(Box<str>),
    Float(f64),
    Str(PyText),
    List(Vec<Self>),
    /// In insertion order, each key once.
    Dict(Vec<(PyText, Self)>),
    Tuple(Vec<Self>),
    Bytes(Box<[u8]>),
    Markup(PyText),
    /// 32 lower-case hexadecimal digits.
    Uuid(Box<str>),
    /// The text under the tag, unchanged: Flask reads many spellings of a date, each in its own way.
    Date(PyText),
}

impl PyValue {
    /// The result of Python's `bool(value)`.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(bool) => *bool,
            Self::Int(digits) => **digits != *"0",
            Self::Float(number) => *number != 0.0,
            Self::Str(text) | Self::Markup(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Dict(items) => !items.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::Uuid(_) | Self::Date(_) => true,
        }
    }

    /// The text; `None` if Python's `isinstance(value, str)` is false.
    pub(super) const fn as_text(&self) -> Option<&PyText> {
        match self {
            Self::Str(text) | Self::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// The items that Python's `iter(value)` yields; `None` if it raises an error.
    pub(super) fn into_items(self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            Self::Dict(items) => Some(items.into_iter().map(|(key, _)| Self::Str(key)).collect()),
            Self::Bytes(bytes) => Some(bytes.iter().map(|byte| Self::Int(byte.to_string().into())).collect()),
            Self::Str(text) | Self::Markup(text) => Some(characters(&text)),
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Uuid(_) | Self::Date(_) => None,
        }
    }
}

fn characters(text: &PyText) -> Vec<PyValue> {
    let to_str = |code| {
        let mut text = PyText::default();
        text.push(code);
        PyValue::Str(text)
    };
    text.code_points().map(to_str).collect()
}

/// Makes a Python `dict` of pairs: a key that comes again keeps its first place and gets the last value.
pub(super) fn to_dict(pairs: impl IntoIterator<Item = (PyText, PyValue)>) -> Vec<(PyText, PyValue)> {
    let mut items = Vec::<(PyText, PyValue)>::new();
    let mut positions = BTreeMap::<PyText, usize>::new();
    for (key, value) in pairs {
        match positions.get(&key) {
            Some(position) => items[*position].1 = value,
            None => {
                positions.insert(key.clone(), items.len());
                items.push((key, value));
            }
        }
    }
    items
}
