//! A record: the content of a session, in one of Flask-Session's two formats.

use super::{json, msgpack};
use crate::session::{Entries, PERMANENT};

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedRecord {
    /// Flask's tagged JSON by name. Never `_permanent`.
    pub entries: Entries,
    /// Python's `bool` of the entry `_permanent`.
    pub permanent: Option<bool>,
}

/// Why bytes are not accepted as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They are a pickle, of Flask-Session before 0.6. Reading a pickle can run any code.
    Pickle,
    /// They are neither MessagePack nor JSON, or a name is too long for [`Entries`].
    Malformed,
}

impl DecodedRecord {
    /// Reads a record. Its first byte says whether it is MessagePack or JSON.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let items = match bytes {
            [0x80, 2..=5, ..] => return Err(RecordError::Pickle),
            [b'{' | b' ' | b'\n' | b'\r' | b'\t', ..] => std::str::from_utf8(bytes).ok().and_then(json::items),
            _ => msgpack::items(bytes),
        };
        items.and_then(Self::from_items).ok_or(RecordError::Malformed)
    }

    fn from_items(items: Vec<(String, String)>) -> Option<Self> {
        let mut items = items.into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let permanent = items.remove(PERMANENT).map(|json| !FALSE.contains(&json.as_str()));
        let is_short = |name: &String| name.len() <= Entries::MAX_NAME_BYTES;
        items.keys().all(is_short).then(|| Self {
            entries: Entries::pack(items.iter().map(|(name, json)| (name.as_str(), json.as_bytes()))),
            permanent,
        })
    }
}

/// The values that are false in Python.
const FALSE: [&str; 7] = ["false", "null", "0", "0.0", "\"\"", "[]", "{}"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_pickles_are_refused() {
        let record =
            DecodedRecord { entries: Entries::pack([("a", b"1".as_slice()), ("b", b"[true]")]), permanent: Some(true) };

        assert_eq!(DecodedRecord::decode(b"\x83\xa1b\x91\xc3\xaa_permanent\xc3\xa1a\x01"), Ok(record.clone()));
        assert_eq!(DecodedRecord::decode(br#"{"_permanent":true,"b":[true],"a":1}"#), Ok(record));
        assert_eq!(DecodedRecord::decode(b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94."), Err(RecordError::Pickle));
        for bytes in [b"".as_slice(), b"[]", b"1", b"{", b"(dp0\n.", b"\x80\x01", b"\xff"] {
            assert_eq!(DecodedRecord::decode(bytes), Err(RecordError::Malformed), "{bytes:?}");
        }
    }
}
