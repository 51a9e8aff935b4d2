//! The Python objects that a session can hold.

use super::text::PyText;

/// One object. Has no `Debug`, which would print what a session holds.
#[derive(Clone, PartialEq)]
pub(super) enum PyValue {
    None,
    Bool(bool),
    /// Of any size: its decimal digits, as Python writes them.
    Int(Box<str>),
    Float(f64),
    PyText(PyText),
    List(Vec<Self>),
    /// In the order of insertion, each key once.
    Dict(Vec<(PyText, Self)>),
    Tuple(Vec<Self>),
    Bytes(Box<[u8]>),
    Markup(PyText),
    /// 32 lower-case hexadecimal digits.
    Uuid(Box<str>),
    /// What stands under the tag, as it was found: Flask reads many spellings of a date, and each of them in its own way.
    Date(PyText),
}

impl PyValue {
    /// What Python's `bool` makes of it.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(bool) => *bool,
            Self::Int(digits) => **digits != *"0",
            Self::Float(number) => *number != 0.0,
            Self::PyText(text) | Self::Markup(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Dict(items) => !items.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::Uuid(_) | Self::Date(_) => true,
        }
    }

    /// The text, if Python's `isinstance(value, str)` holds.
    pub(super) const fn as_text(&self) -> Option<&PyText> {
        match self {
            Self::PyText(text) | Self::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// What Python's `iter` walks through; nothing if it raises.
    pub(super) fn into_items(self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            Self::Dict(items) => Some(items.into_iter().map(|(key, _)| Self::PyText(key)).collect()),
            Self::Bytes(bytes) => Some(bytes.iter().map(|byte| Self::Int(byte.to_string().into())).collect()),
            Self::PyText(text) | Self::Markup(text) => Some(characters(&text)),
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Uuid(_) | Self::Date(_) => None,
        }
    }
}

fn characters(text: &PyText) -> Vec<PyValue> {
    let one = |code| {
        let mut text = PyText::default();
        text.push(code);
        PyValue::PyText(text)
    };
    text.code_points().map(one).collect()
}

/// Sets a key as a Python `dict` does: it keeps the place where it first stood.
pub(super) fn insert(items: &mut Vec<(PyText, PyValue)>, places: &mut Places, key: PyText, value: PyValue) {
    match places.get(&key) {
        Some(at) => items[*at].1 = value,
        None => {
            places.insert(key.clone(), items.len());
            items.push((key, value));
        }
    }
}

/// Where each key of a growing `dict` stands.
pub(super) type Places = std::collections::BTreeMap<PyText, usize>;
