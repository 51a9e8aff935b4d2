//! Flask's own session cookie: opened, and signed so that Flask opens it.
//!
//! `payload.time.signature`, as itsdangerous writes it, around the JSON that Flask's `TaggedJSONSerializer` writes.
//! Pure: knows keys, text and times, never an app, a request or a store.

mod base64;
mod digest;
pub mod flask_session;
mod float;
mod payload;
mod read;
mod signer;
mod tag;
mod text;
mod value;
mod write;

pub use digest::Digest;
pub use payload::{MAX_JSON_BYTES, NotAnEntry};
pub use read::{JsonError, JsonFlaw, MAX_DEPTH, MAX_DIGITS};
pub use signer::{CookieRejection, DEFAULT_SALT, KeysError, Signer, VerifiedCookie};

use value::PyValue;

use crate::session::Value;

/// Reads one value as Flask's serializer would, and answers it as Python writes it.
///
/// Takes what Python's `json` takes, `NaN` and lone surrogates included, and refuses what Flask could not load again.
pub fn normalise(json: &str) -> Result<String, JsonError> {
    read::read(json, MAX_DEPTH).map(|value| write::to_text(&value))
}

/// A value of a session from such a text, for an app whose sessions are in Flask's cookie.
pub fn json_value(json: &str) -> Result<Value, JsonError> {
    normalise(json).map(Value::checked_json)
}

/// The JSON text of a Python `bytes` object.
pub fn bytes_to_json(bytes: &[u8]) -> String {
    write::to_text(&PyValue::Bytes(bytes.into()))
}
