//! The content of a session: a JSON object.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Rejection;
use super::expiry::Expiry;
use crate::session::Entries;

/// The content of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedSession {
    /// JSON text by name, byte for byte as Django wrote it, Django's own entries included.
    pub entries: Entries,
    /// What the application set by `set_expiry`, which is one of the entries.
    pub expiry: Expiry,
}

impl DecodedSession {
    /// Reads the JSON object that a session is.
    ///
    /// It has to be UTF-8 and RFC 8259. Django's own serializer writes nothing else, except for floats that are not
    /// finite.
    pub fn decode(bytes: &[u8]) -> Result<Self, Rejection> {
        if let [0x80, 2..=5, ..] = bytes {
            return Err(Rejection::Pickle);
        }
        let json = std::str::from_utf8(bytes).map_err(|_| Rejection::Malformed)?;
        // Of a name that is there twice, the last value counts, here as in Python.
        let items = serde_json::from_str::<BTreeMap<String, &RawValue>>(json).map_err(|_| Rejection::Malformed)?;
        if items.keys().any(|name| name.len() > Entries::MAX_NAME_BYTES) {
            return Err(Rejection::Malformed);
        }
        let expiry = items.get(EXPIRY).map_or(Some(Expiry::Default), |json| Expiry::parse(json.get()));
        let entries = Entries::pack(items.iter().map(|(name, json)| (name.as_str(), json.get().as_bytes())));
        Ok(Self { entries, expiry: expiry.ok_or(Rejection::Malformed)? })
    }
}

/// The entry that `set_expiry` writes.
const EXPIRY: &str = "_session_expiry";
