//! Writes Python objects as JSON text, byte for byte as Flask's serializer does in an application.

use std::fmt::Write as _;

use super::float;
use super::tag::{BYTES, DATE, DICT, MARKUP, TUPLE, UUID, is_tag};
use super::text::PyText;
use super::value::PyValue;
use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

/// Returns one object as tagged JSON: keys sorted, no white space, ASCII only.
pub(super) fn to_text(value: &PyValue) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// Writes a dict of these items, which are in any order, each key once.
pub(super) fn write_dict(out: &mut String, items: &[(&PyText, &PyValue)]) {
    if let [(key, value)] = items
        && is_tag(key)
    {
        let mut escaped = (*key).clone();
        escaped.push_str("__");
        return write_tagged(out, DICT, |out| write_items(out, &[(&escaped, value)]));
    }
    let mut items = items.to_vec();
    items.sort_unstable_by_key(|(key, _)| *key);
    write_items(out, &items);
}

fn write_value(out: &mut String, value: &PyValue) {
    match value {
        PyValue::None => out.push_str("null"),
        PyValue::Bool(true) => out.push_str("true"),
        PyValue::Bool(false) => out.push_str("false"),
        PyValue::Int(digits) => out.push_str(digits),
        PyValue::Float(number) => out.push_str(&float::repr(*number)),
        PyValue::Str(text) => write_text(out, text),
        PyValue::List(items) => write_list(out, items),
        PyValue::Dict(items) => write_dict(out, &items.iter().map(|(key, value)| (key, value)).collect::<Vec<_>>()),
        PyValue::Tuple(items) => write_tagged(out, TUPLE, |out| write_list(out, items)),
        PyValue::Bytes(bytes) => write_tagged(out, BYTES, |out| {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }),
        PyValue::Markup(text) => write_tagged(out, MARKUP, |out| write_text(out, text)),
        PyValue::Uuid(digits) => write_tagged(out, UUID, |out| write_text(out, &PyText::from(&**digits))),
        PyValue::Date(text) => write_tagged(out, DATE, |out| write_text(out, text)),
    }
}

fn write_tagged(out: &mut String, tag: &str, inner: impl FnOnce(&mut String)) {
    let _ = write!(out, "{{\"{tag}\":");
    inner(out);
    out.push('}');
}

fn write_items(out: &mut String, items: &[(&PyText, &PyValue)]) {
    out.push('{');
    for (n, (key, value)) in items.iter().enumerate() {
        out.push_str(if n > 0 { "," } else { "" });
        write_text(out, key);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

fn write_list(out: &mut String, items: &[PyValue]) {
    out.push('[');
    for (n, value) in items.iter().enumerate() {
        out.push_str(if n > 0 { "," } else { "" });
        write_value(out, value);
    }
    out.push(']');
}

fn write_text(out: &mut String, text: &PyText) {
    out.push('"');
    for code in text.code_points() {
        match char::from_u32(code) {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\x0c') => out.push_str("\\f"),
            Some('\x08') => out.push_str("\\b"),
            Some(c @ ' '..='~') => out.push(c),
            Some(c) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write_escape(out, u32::from(*unit))),
            None => write_escape(out, code),
        }
    }
    out.push('"');
}

fn write_escape(out: &mut String, unit: u32) {
    let _ = write!(out, "\\u{unit:04x}");
}
