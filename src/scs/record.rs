//! A record: the deadline and the values of a session, as gob or as JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::gob::GobSession;
use crate::session::Entries;
use crate::signing::MAX_JSON_BYTES;
use crate::types::{Time, timestamp};

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedRecord {
    /// JSON text by name. Never scs' own `__rememberMe`.
    pub entries: Entries,
    /// When the session ends, however much it is used.
    pub deadline: Time,
    /// Whether `RememberMe(true)` was called.
    pub remembered: bool,
}

/// Why bytes are not accepted as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They are neither gob nor JSON of scs' form, hold a value that is not plain, or a name too long for [`Entries`].
    Malformed,
    /// Written as JSON, it is over 1 MiB.
    TooLarge,
}

impl DecodedRecord {
    /// Reads a record of scs' `GobCodec`, or a JSON object with `deadline` and `values`. The first byte says which.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let decoded = match bytes {
            [b'{', ..] => decode_json(bytes),
            _ => GobSession::decode(bytes).map(|session| (session.deadline.timestamp(), session.values)),
        };
        let (deadline, mut values) = decoded.ok_or(RecordError::Malformed)?;
        if values.iter().map(|(name, json)| name.len() + json.len()).sum::<usize>() > MAX_JSON_BYTES {
            return Err(RecordError::TooLarge);
        }
        if values.keys().any(|name| name.len() > Entries::MAX_NAME_BYTES) {
            return Err(RecordError::Malformed);
        }
        let remembered = values.remove(REMEMBER_ME).is_some_and(|json| json == "true");
        let entries = Entries::pack(values.iter().map(|(name, json)| (name.as_str(), json.as_bytes())));
        Ok(Self { entries, deadline, remembered })
    }
}

/// A session by a codec of the application, which writes the two arguments of `Codec.Encode`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSession<'b> {
    #[serde(alias = "Deadline")]
    deadline: String,
    #[serde(alias = "Values", borrow)]
    values: BTreeMap<String, &'b RawValue>,
}

fn decode_json(bytes: &[u8]) -> Option<(Time, BTreeMap<String, String>)> {
    let session = serde_json::from_slice::<JsonSession<'_>>(bytes).ok()?;
    let deadline = timestamp::parse(&session.deadline).ok()?;
    Some((deadline, session.values.into_iter().map(|(name, json)| (name, json.get().to_owned())).collect()))
}

/// The value that scs itself writes.
const REMEMBER_ME: &str = "__rememberMe";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_in_json_is_read_with_either_spelling() {
        let decoded = DecodedRecord {
            entries: Entries::pack([("n", b"1".as_slice())]),
            deadline: Time::from_seconds(1_795_694_400),
            remembered: true,
        };
        for record in [
            r#"{"Deadline":"2026-11-26T13:00:00+01:00","Values":{"n":1,"__rememberMe":true}}"#,
            r#"{"values":{"__rememberMe":true,"n":1},"deadline":"2026-11-26T12:00:00.000000000Z"}"#,
        ] {
            assert_eq!(DecodedRecord::decode(record.as_bytes()), Ok(decoded.clone()), "{record}");
        }
        for record in [
            r#"{"values":{}}"#,
            r#"{"deadline":"2026-11-26T12:00:00Z"}"#,
            r#"{"deadline":1,"values":{}}"#,
            r#"{"deadline":"2026-11-26T12:00:00Z","values":{},"more":1}"#,
            r#"{"deadline":"2026-11-26T12:00:00Z","values":[]}"#,
        ] {
            assert_eq!(DecodedRecord::decode(record.as_bytes()), Err(RecordError::Malformed), "{record}");
        }
    }
}
