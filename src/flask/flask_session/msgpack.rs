//! MessagePack as msgspec writes Python objects, as Flask's tagged JSON.
//!
//! Every length is believed only as far as there are bytes. What JSON has no form for gets Flask's tag, or none: a key
//! that is no text becomes the text that Python's `json` makes of it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{TAGS, escaped, not_finite};

/// The items of a map, in their order; nothing if the bytes are no such map.
pub(super) fn items(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut reader = Reader { rest: bytes };
    let marker = reader.byte()?;
    let length = reader.map_length(marker)?;
    let items = reader.items(length, MAX_DEPTH)?;
    reader.rest.is_empty().then_some(items)
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn value(&mut self, room: usize) -> Option<String> {
        let marker = self.byte()?;
        if let Some(length) = self.map_length(marker) {
            return self.items(length, room.checked_sub(1)?).map(object);
        }
        Some(match marker {
            0xc0 => "null".to_owned(),
            0xc2 => "false".to_owned(),
            0xc3 => "true".to_owned(),
            0xc4 => self.bytes_of::<1>()?,
            0xc5 => self.bytes_of::<2>()?,
            0xc6 => self.bytes_of::<4>()?,
            0xca => float(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => float(f64::from_be_bytes(self.take()?)),
            0x90..=0x9f => self.array(usize::from(marker & 0x0f), room)?,
            0xdc => self.array_of::<2>(room)?,
            0xdd => self.array_of::<4>(room)?,
            0xc7 => self.extension_of::<1>()?,
            0xc8 => self.extension_of::<2>()?,
            0xc9 => self.extension_of::<4>()?,
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            _ => match self.integer(marker) {
                Some(number) => number.to_string(),
                None => text(self.text(marker)?),
            },
        })
    }

    fn items(&mut self, length: usize, room: usize) -> Option<Vec<(String, String)>> {
        let (mut items, mut names) = (Vec::new(), BTreeSet::new());
        for _ in 0..length {
            let name = self.key()?;
            // Two keys that were different and would be one: neither may go unnoticed.
            if !names.insert(name.clone()) {
                return None;
            }
            items.push((name, self.value(room)?));
        }
        Some(items)
    }

    /// As Python's `json` writes keys.
    fn key(&mut self) -> Option<String> {
        let marker = self.byte()?;
        Some(match marker {
            0xc0 => "null".to_owned(),
            0xc2 => "false".to_owned(),
            0xc3 => "true".to_owned(),
            _ => match self.integer(marker) {
                Some(number) => number.to_string(),
                None => self.text(marker)?.to_owned(),
            },
        })
    }

    fn array(&mut self, length: usize, room: usize) -> Option<String> {
        let room = room.checked_sub(1)?;
        let mut text = "[".to_owned();
        for n in 0..length {
            text.push_str(if n > 0 { "," } else { "" });
            text.push_str(&self.value(room)?);
        }
        text.push(']');
        Some(text)
    }

    fn array_of<const N: usize>(&mut self, room: usize) -> Option<String> {
        let length = self.length::<N>()?;
        self.array(length, room)
    }

    fn map_length(&mut self, marker: u8) -> Option<usize> {
        match marker {
            0x80..=0x8f => Some(usize::from(marker & 0x0f)),
            0xde => self.length::<2>(),
            0xdf => self.length::<4>(),
            _ => None,
        }
    }

    fn integer(&mut self, marker: u8) -> Option<i128> {
        Some(match marker {
            0x00..=0x7f => marker.into(),
            0xe0..=0xff => marker.cast_signed().into(),
            0xcc => self.byte()?.into(),
            0xcd => u16::from_be_bytes(self.take()?).into(),
            0xce => u32::from_be_bytes(self.take()?).into(),
            0xcf => u64::from_be_bytes(self.take()?).into(),
            0xd0 => self.byte()?.cast_signed().into(),
            0xd1 => i16::from_be_bytes(self.take()?).into(),
            0xd2 => i32::from_be_bytes(self.take()?).into(),
            0xd3 => i64::from_be_bytes(self.take()?).into(),
            _ => return None,
        })
    }

    fn text(&mut self, marker: u8) -> Option<&'b str> {
        let length = match marker {
            0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.length::<1>()?,
            0xda => self.length::<2>()?,
            0xdb => self.length::<4>()?,
            _ => return None,
        };
        std::str::from_utf8(self.slice(length)?).ok()
    }

    fn bytes_of<const N: usize>(&mut self) -> Option<String> {
        let length = self.length::<N>()?;
        Some(format!("{{\" b\":\"{}\"}}", STANDARD.encode(self.slice(length)?)))
    }

    fn extension_of<const N: usize>(&mut self) -> Option<String> {
        let length = self.length::<N>()?;
        self.extension(length)
    }

    /// The one extension that msgspec writes by itself: a time.
    fn extension(&mut self, length: usize) -> Option<String> {
        let (kind, bytes) = (self.byte()?.cast_signed(), self.slice(length)?);
        let seconds = match (kind, bytes) {
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

    fn length<const N: usize>(&mut self) -> Option<usize> {
        Some(self.take::<N>()?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    fn slice(&mut self, length: usize) -> Option<&'b [u8]> {
        let (slice, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(slice)
    }
}

fn object(items: Vec<(String, String)>) -> String {
    if let [(key, value)] = items.as_slice()
        && TAGS.contains(&key.as_str())
    {
        return escaped(key, value);
    }
    let items = items.iter().map(|(key, value)| format!("{}:{value}", text(key)));
    format!("{{{}}}", items.collect::<Vec<_>>().join(","))
}

fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn float(number: f64) -> String {
    if number.is_nan() {
        not_finite("NaN")
    } else if number.is_infinite() {
        not_finite(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        serde_json::Value::from(number).to_string()
    }
}

/// A time as Flask writes it, of the years 1 to 9999: Python has no others.
fn http_date(seconds: i64) -> Option<String> {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days from 0000-03-01 on, so that leap days come last: in eras of 400 years, 146,097 days each.
    let shifted = days.checked_add(719_468)?;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400 + i64::from(month >= 10);
    if !(1..=9999).contains(&year) {
        return None;
    }
    let weekday = WEEKDAYS[usize::try_from(days.rem_euclid(7)).ok()?];
    let month = MONTHS[usize::try_from(month).ok()?];
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    Some(format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"))
}

/// From 1970-01-01 on.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// From March on.
const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];

/// As deep as a value may be nested.
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
    fn what_is_no_map_is_nothing() {
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
