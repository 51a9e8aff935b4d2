//! The content of a session: a JSON object.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::SessionRejection;
use super::expiry::SessionExpiry;
use crate::session::Entries;

/// The content of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedSession {
    /// JSON text by name, byte for byte as Django wrote it, Django's own entries included.
    pub entries: Entries,
    /// The expiry that the application set by `set_expiry`, which is one of the entries.
    pub expiry: SessionExpiry,
}

impl DecodedSession {
    /// Reads the JSON object that a session is.
    ///
    /// It has to be UTF-8 and RFC 8259. Django's own serializer writes nothing else, except for floats that are not
    /// finite.
    pub fn decode(bytes: &[u8]) -> Result<Self, SessionRejection> {
        if let [0x80, 2..=5, ..] = bytes {
            return Err(SessionRejection::Pickle);
        }
        let json = std::str::from_utf8(bytes).map_err(|_| SessionRejection::Malformed)?;
        // Of a name that is there twice, the last value counts, here as in Python.
        let items =
            serde_json::from_str::<BTreeMap<String, &RawValue>>(json).map_err(|_| SessionRejection::Malformed)?;
        if items.keys().any(|name| name.len() > Entries::MAX_NAME_BYTES) {
            return Err(SessionRejection::Malformed);
        }
        let expiry = items.get(EXPIRY).map_or(Some(SessionExpiry::Default), |json| SessionExpiry::parse(json.get()));
        let entries = Entries::pack(items.iter().map(|(name, json)| (name.as_str(), json.get().as_bytes())));
        Ok(Self { entries, expiry: expiry.ok_or(SessionRejection::Malformed)? })
    }
}

/// The entry that `set_expiry` writes.
const EXPIRY: &str = "_session_expiry";
