//! Reads MessagePack, as msgspec writes Python objects, into Flask's tagged JSON.
//!
//! No length is trusted beyond the bytes that are there. A value that JSON has no form for gets Flask's tag. A key that
//! is not a string becomes the string that Python's `json` writes for it.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmp::Marker;
use rmp::decode::{self, ExtMeta};

use super::json::{TAGS, escaped, not_finite};
use crate::flask::float::repr;

/// Reads the items of one map, in their order; `None` if the bytes are anything else.
pub(super) fn items(mut bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let items = read_map(&mut bytes, MAX_DEPTH)?;
    bytes.is_empty().then_some(items)
}

/// Reads one value and the values in it, at most `depth_left` levels of them.
fn read_value(rest: &mut &[u8], depth_left: usize) -> Option<String> {
    Some(match next_marker(rest)? {
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => write_object(read_map(rest, depth_left.checked_sub(1)?)?),
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => read_array(rest, depth_left.checked_sub(1)?)?,
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => write_text(read_text(rest)?),
        Marker::F32 => write_float(decode::read_f32(rest).ok()?.into()),
        Marker::F64 => write_float(decode::read_f64(rest).ok()?),
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let length = decode::read_bin_len(rest).ok()?;
            format!("{{\" b\":\"{}\"}}", STANDARD.encode(take(rest, length)?))
        }
        Marker::FixExt1 | Marker::FixExt2 | Marker::FixExt4 | Marker::FixExt8 | Marker::FixExt16 => read_time(rest)?,
        Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => read_time(rest)?,
        _ => read_literal(rest)?,
    })
}

fn read_map(rest: &mut &[u8], depth_left: usize) -> Option<Vec<(String, String)>> {
    let (mut items, mut names) = (Vec::new(), BTreeSet::new());
    for _ in 0..decode::read_map_len(rest).ok()? {
        let name = read_name(rest)?;
        // Two different keys that become the same string would hide one of their values.
        if !names.insert(name.clone()) {
            return None;
        }
        items.push((name, read_value(rest, depth_left)?));
    }
    Some(items)
}

fn read_array(rest: &mut &[u8], depth_left: usize) -> Option<String> {
    let length = decode::read_array_len(rest).ok()?;
    let items = (0..length).map(|_| read_value(rest, depth_left)).collect::<Option<Vec<_>>>()?;
    Some(format!("[{}]", items.join(",")))
}

/// Reads a string; `rest` stays as it is if there is none.
fn read_text<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let text;
    (text, *rest) = decode::read_str_from_slice(*rest).ok()?;
    Some(text)
}

/// Reads a key, as the text that Python's `json` makes of it.
fn read_name(rest: &mut &[u8]) -> Option<String> {
    if let Some(text) = read_text(rest) {
        return Some(text.to_owned());
    }
    match next_marker(rest)? {
        Marker::F32 => decode::read_f32(rest).ok().map(|number| repr(number.into())),
        Marker::F64 => decode::read_f64(rest).ok().map(repr),
        _ => read_literal(rest),
    }
}

/// Reads what has the same text as a value and as a key: null, a boolean or an integer.
fn read_literal(rest: &mut &[u8]) -> Option<String> {
    let word = match next_marker(rest)? {
        Marker::Null => "null",
        Marker::False => "false",
        Marker::True => "true",
        _ => return decode::read_int::<i128, _>(rest).ok().map(|number| number.to_string()),
    };
    *rest = &rest[1..];
    Some(word.to_owned())
}

/// Reads a time, the only extension that msgspec writes by itself.
fn read_time(rest: &mut &[u8]) -> Option<String> {
    let ExtMeta { typeid, size } = decode::read_ext_meta(rest).ok()?;
    let seconds = match (typeid, take(rest, size)?) {
        (-1, [a, b, c, d]) => i64::from(u32::from_be_bytes([*a, *b, *c, *d])),
        (-1, [_, _, _, e, a, b, c, d]) => {
            // 30 bits of nanoseconds, then 34 of seconds.
            i64::from(e & 3) << 32 | i64::from(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        (-1, [_, _, _, _, seconds @ ..]) => i64::from_be_bytes(seconds.try_into().ok()?),
        _ => return None,
    };
    Some(format!("{{\" d\":\"{}\"}}", http_date(seconds)?))
}

fn next_marker(rest: &[u8]) -> Option<Marker> {
    rest.first().copied().map(Marker::from_u8)
}

fn take<'b>(rest: &mut &'b [u8], length: u32) -> Option<&'b [u8]> {
    let bytes;
    (bytes, *rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(bytes)
}

fn write_object(items: Vec<(String, String)>) -> String {
    if let [(key, value)] = items.as_slice()
        && TAGS.contains(&key.as_str())
    {
        return escaped(key, value);
    }
    let items = items.iter().map(|(key, value)| format!("{}:{value}", write_text(key)));
    format!("{{{}}}", items.collect::<Vec<_>>().join(","))
}

fn write_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_float(number: f64) -> String {
    if number.is_nan() {
        not_finite("NaN")
    } else if number.is_infinite() {
        not_finite(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        serde_json::Value::from(number).to_string()
    }
}

/// Writes a time as Flask does, if its year is in 1 to 9999: Python has no others.
fn http_date(seconds: i64) -> Option<String> {
    // `httpdate` has no dates before 1970. The calendar repeats every 400 years, weekdays included.
    let cycles = if seconds < 0 { 5 } else { 0 };
    let later = u64::try_from(seconds.checked_add(cycles * 146_097 * 86_400)?).ok()?;
    let later = (later <= LAST_SECOND).then(|| UNIX_EPOCH + Duration::from_secs(later))?;
    let date = httpdate::fmt_http_date(later);
    let (day_and_month, year, time) = (date.get(..12)?, date.get(12..16)?.parse::<i64>().ok()?, date.get(16..)?);
    let year = year - 400 * cycles;
    (year > 0).then(|| format!("{day_and_month}{year:04}{time}"))
}

/// The end of the year 9999, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// The most levels of maps and arrays in a value.
const MAX_DEPTH: usize = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_flask_writes_them() {
        let table = [
            (0, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (1_700_000_000, Some("Tue, 14 Nov 2023 22:13:20 GMT")),
            (-1, Some("Wed, 31 Dec 1969 23:59:59 GMT")),
            (951_782_400, Some("Tue, 29 Feb 2000 00:00:00 GMT")),
            (-62_135_596_800, Some("Mon, 01 Jan 0001 00:00:00 GMT")),
            (253_402_300_799, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
            (253_402_300_800, None),
            (-62_135_596_801, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ];

        for (seconds, date) in table {
            assert_eq!(http_date(seconds).as_deref(), date, "{seconds}");
        }
    }

    #[test]
    fn each_kind_of_value_has_its_json() {
        let table: [(&[u8], &str); 14] = [
            (b"\xc0", "null"),
            (b"\x2a", "42"),
            (b"\xff", "-1"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xd3\x80\0\0\0\0\0\0\0", "-9223372036854775808"),
            (b"\xcb\x3f\xf0\0\0\0\0\0\0", "1.0"),
            (b"\xcb\x7f\xf8\0\0\0\0\0\0", r#"{" f":"NaN"}"#),
            (b"\xcb\xff\xf0\0\0\0\0\0\0", r#"{" f":"-Infinity"}"#),
            (b"\xa3a\"\n", r#""a\"\n""#),
            (b"\xc4\x03\xff\x00\xfe", r#"{" b":"/wD+"}"#),
            (b"\x92\x01\xa1x", r#"[1,"x"]"#),
            (b"\x81\xa2 t\x90", r#"{" di":{" t__":[]}}"#),
            (b"\x82\xa2 t\x90\x01\xc3", r#"{" t":[],"1":true}"#),
            (b"\xd6\xff\x65\x53\xf1\x00", r#"{" d":"Tue, 14 Nov 2023 22:13:20 GMT"}"#),
        ];

        for (bytes, json) in table {
            let map = [b"\x81\xa1k", bytes].concat();
            assert_eq!(items(&map), Some(vec![("k".to_owned(), json.to_owned())]), "{bytes:x?}");
        }
    }

    #[test]
    fn a_key_is_the_text_that_json_makes_of_it() {
        let table: [(&[u8], &str); 5] = [
            (b"\xcb\x3f\xf8\0\0\0\0\0\0", "1.5"),
            (b"\xcb\x43\x41\xc3\x79\x37\xe0\x80\x00", "1e+16"),
            (b"\xcb\x7f\xf0\0\0\0\0\0\0", "Infinity"),
            (b"\x01", "1"),
            (b"\xc3", "true"),
        ];

        for (key, name) in table {
            let map = [b"\x81", key, b"\xa1x"].concat();
            assert_eq!(items(&map), Some(vec![(name.to_owned(), "\"x\"".to_owned())]), "{key:x?}");
        }
    }

    #[test]
    fn bytes_that_are_not_one_map_are_refused() {
        let deep = [b"\x81\xa1k".as_slice(), &[0x91; 200], b"\xc0"].concat();
        let table: [&[u8]; 9] = [
            b"",
            b"\x80\x04\x95\x01",
            b"\x81",
            b"\x81\xa1k",
            b"\x81\xa1k\xdf\xff\xff\xff\xff",
            b"\x81\xa1k\xc1",
            b"\x82\xa11\x01\x01\x02",
            b"\x81\xa1\xff\x01",
            &deep,
        ];

        for bytes in table {
            assert_eq!(items(bytes), None, "{bytes:x?}");
        }
    }
}
