//! Flask's own session cookie: verified, and signed so that Flask accepts it.
//!
//! The cookie is `payload.time.signature`, as itsdangerous writes it; the payload is the JSON of Flask's
//! `TaggedJSONSerializer`. Pure: knows keys, text and times, never an app, a request or a store.

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
pub use payload::{NotAnEntry, SignError};
pub use read::{JsonError, JsonFlaw, MAX_DEPTH, MAX_DIGITS};
pub use signer::{CookieRejection, DEFAULT_SALT, Signer, VerifiedCookie};

use value::PyValue;

use crate::session::Value;
pub use crate::signing::{KeysError, MAX_JSON_BYTES};

/// Reads one value as Flask's serializer does, and returns it as Python writes it.
///
/// Accepts what Python's `json` accepts, `NaN` and lone surrogates included, and refuses what Flask could not load.
pub fn normalise(json: &str) -> Result<String, JsonError> {
    read::read(json, MAX_DEPTH).map(|value| write::to_text(&value))
}

/// Makes a normalised value, for an app whose sessions are in Flask's cookie.
pub fn json_value(json: &str) -> Result<Value, JsonError> {
    normalise(json).map(Value::checked_json)
}

/// Returns the tagged JSON of a Python `bytes` object.
pub fn bytes_to_json(bytes: &[u8]) -> String {
    write::to_text(&PyValue::Bytes(bytes.into()))
}
