//! The formats of scs, for Go: what the real scs has written (`tests/scs/main.go`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom::scs::{DecodedRecord, RecordError, Token};
use cloakroom::types::{Time, timestamp};
use serde::Deserialize;
use serde_json::Value;

/// A session as the real scs has written it.
#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) cookie: String,
    /// What the store calls it.
    pub(crate) key: String,
    value: String,
    deadline: String,
    /// JSON by name, as Go writes it. Empty: a value is of the application's own type, or no JSON.
    #[serde(default)]
    pub(crate) loaded: BTreeMap<String, String>,
}

impl Vector {
    pub(crate) fn record(&self) -> Vec<u8> {
        STANDARD.decode(&self.value).unwrap()
    }

    pub(crate) fn deadline(&self) -> Time {
        timestamp::parse(&self.deadline).unwrap()
    }
}

pub(crate) fn vectors() -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    serde_json::from_value(file["sessions"].clone()).unwrap()
}

#[test]
fn a_cookie_gives_the_key_of_its_record() {
    for vector in vectors() {
        let token = Token::parse(&vector.cookie).unwrap();

        let key = if vector.name == "hashed_token" { token.hash() } else { token.as_str().to_owned() };
        assert_eq!(key, vector.key);
    }
}

#[test]
fn a_record_has_the_values_that_go_writes_as_json() {
    for vector in vectors() {
        let decoded = DecodedRecord::decode(&vector.record());

        if vector.loaded.is_empty() {
            assert_eq!(decoded, Err(RecordError::Malformed), "{}", vector.name);
            continue;
        }
        let decoded = decoded.unwrap_or_else(|error| panic!("{}: {error:?}", vector.name));
        assert_eq!(decoded.deadline, vector.deadline(), "{}", vector.name);
        let names = decoded.entries.iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names, vector.loaded.keys().collect::<Vec<_>>(), "{}", vector.name);
        for (name, json) in decoded.entries.iter() {
            // Go spells floats and characters of HTML in another way.
            let [read, written] = [json, vector.loaded[name].as_bytes()]
                .map(|json| serde_json::from_slice::<Value>(json).unwrap_or_else(|error| panic!("{name}: {error}")));
            assert_eq!(as_number(&read), as_number(&written), "{}: {name}", vector.name);
        }
    }
}

/// A float that is whole equals its integer.
fn as_number(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => number.to_string().trim_end_matches(".0").into(),
        Value::Number(number) => number.to_string().into(),
        Value::Array(items) => items.iter().map(as_number).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_record_that_is_cut_is_refused() {
    for vector in vectors() {
        let record = vector.record();

        for length in 0..record.len() {
            assert_eq!(DecodedRecord::decode(&record[..length]), Err(RecordError::Malformed), "{}", vector.name);
        }
        let longer = [record.as_slice(), b"\0"].concat();
        assert_eq!(DecodedRecord::decode(&longer), Err(RecordError::Malformed), "{}", vector.name);
    }
}
