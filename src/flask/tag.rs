//! Flask's tags: an object that JSON has no form for is a dict of one item, whose key is the tag.
//!
//! Each rule follows Flask's `to_python` for that tag, and refuses a value at which that raises an error. Values that
//! Flask never writes itself are read as Flask would read them, except for Markup around anything but text.
//! A dict of one item with another key may be a tag that an application has registered, and stays as it is.

use super::base64;
use super::text::PyText;
use super::value::PyValue;

pub(super) const DICT: &str = " di";
pub(super) const TUPLE: &str = " t";
pub(super) const BYTES: &str = " b";
pub(super) const MARKUP: &str = " m";
pub(super) const UUID: &str = " u";
pub(super) const DATE: &str = " d";

/// Whether a key is one of Flask's own tags.
pub(super) fn is_tag(key: &PyText) -> bool {
    key.as_str().is_some_and(|key| [DICT, TUPLE, BYTES, MARKUP, UUID, DATE].contains(&key))
}

/// Makes the object that a dict represents. The error is the tag whose value Flask cannot load.
pub(super) fn untag(mut items: Vec<(PyText, PyValue)>) -> Result<PyValue, &'static str> {
    let tag = match items.as_slice() {
        [(key, _)] if is_tag(key) => key.as_str().unwrap_or_default(),
        _ => return Ok(PyValue::Dict(items)),
    };
    let (tag, to_python): (_, fn(PyValue) -> Option<PyValue>) = match tag {
        DICT => (DICT, dict),
        TUPLE => (TUPLE, |value| value.into_items().map(PyValue::Tuple)),
        BYTES => (BYTES, bytes),
        MARKUP => (MARKUP, |value| value.as_text().cloned().map(PyValue::Markup)),
        UUID => (UUID, uuid),
        _ => (DATE, date),
    };
    items.pop().and_then(|(_, value)| to_python(value)).ok_or(tag)
}

/// Reads a dict of one item whose key looks like a tag: Flask appends two characters to the key.
fn dict(value: PyValue) -> Option<PyValue> {
    let PyValue::Dict(items) = value else { return None };
    let (key, value) = items.into_iter().next()?;
    let codes = key.code_points().collect::<Vec<_>>();
    let mut key = PyText::default();
    codes[..codes.len().saturating_sub(2)].iter().for_each(|code| key.push(*code));
    Some(PyValue::Dict(vec![(key, value)]))
}

fn bytes(value: PyValue) -> Option<PyValue> {
    let bytes = match &value {
        PyValue::Bytes(bytes) => base64::decode(bytes)?,
        _ => base64::decode(value.as_text()?.as_str().filter(|text| text.is_ascii())?.as_bytes())?,
    };
    Some(PyValue::Bytes(bytes.into()))
}

/// Follows Python's `UUID(hex)`, except for digits that only `int` accepts: of other scripts, or with a sign or `_`.
fn uuid(value: PyValue) -> Option<PyValue> {
    let text = value.as_text()?.as_str()?.replace("urn:", "").replace("uuid:", "");
    let digits = text.trim_matches(['{', '}']).replace('-', "");
    let is_uuid = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_uuid.then(|| PyValue::Uuid(digits.to_ascii_lowercase().into()))
}

/// Follows Flask's `parse_date`, which returns `None` for most texts that it cannot read.
fn date(value: PyValue) -> Option<PyValue> {
    match value {
        PyValue::Bytes(_) => Some(PyValue::None),
        _ if !value.is_true() => Some(PyValue::None),
        _ => value.as_text().filter(|text| !has_huge_number(text)).cloned().map(PyValue::Date),
    }
}

/// Whether Python raises an error at a number in a date, because its C code has no room for it.
fn has_huge_number(text: &PyText) -> bool {
    let mut digits = 0;
    text.code_points().any(|code| {
        let counts = char::from_u32(code).is_some_and(|c| c.is_numeric() || c == '_');
        digits = if counts { digits + 1 } else { 0 };
        digits > 9
    })
}
