//! The payload: a session as Flask's JSON, compressed if that is shorter, in base64.

use std::cell::RefCell;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::read::{JsonError, JsonFlaw, MAX_DEPTH, read};
use super::signer::CookieRejection;
use super::text::PyText;
use super::value::{PyValue, to_dict};
use super::write::{to_text, write_dict};
use crate::session::{Entries, PERMANENT, ValueKind};
use crate::signing::{MAX_JSON_BYTES, decode_payload};

/// The session in a payload.
pub(super) struct DecodedPayload {
    pub(super) entries: Entries,
    pub(super) permanent: Option<bool>,
}

/// Reads a payload with a valid signature.
pub(super) fn decode(payload: &str) -> Result<DecodedPayload, CookieRejection> {
    let json = decode_payload(payload)?;
    let json = std::str::from_utf8(&json).map_err(|_| CookieRejection::Payload)?;
    // The session itself is one level more than the values in it, and `encode` writes a level more than clients send.
    let session = read(json, MAX_DEPTH + 2).map_err(|_| CookieRejection::Payload)?;
    content(items(session)?)
}

/// Writes the payload that Flask writes for the same session. [`decode`] reads each of them.
pub(super) fn encode(entries: &Entries, permanent: Option<bool>) -> Result<String, SignError> {
    let permanent = permanent.map(|permanent| (PyText::from(PERMANENT), PyValue::Bool(permanent)));
    let named = entries.iter().filter(|(name, _)| *name != PERMANENT);
    let named = named.map(|(name, stored)| Ok((PyText::from(name), value(name, stored)?)));
    let items = named.chain(permanent.map(Ok)).collect::<Result<Vec<_>, NotAnEntry>>()?;
    let mut json = String::new();
    write_dict(&mut json, &items.iter().map(|(name, value)| (name, value)).collect::<Vec<_>>());
    if json.len() > MAX_JSON_BYTES {
        return Err(SignError::TooLarge { bytes: json.len() });
    }
    Ok(match deflate(json.as_bytes()) {
        Some(compressed) => format!(".{}", URL_SAFE_NO_PAD.encode(compressed)),
        None => URL_SAFE_NO_PAD.encode(json),
    })
}

/// Why a session cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error(transparent)]
    NotAnEntry(#[from] NotAnEntry),
    /// Its JSON has more than [`MAX_JSON_BYTES`], and nobody would read the cookie.
    #[error("the JSON of the session has {bytes} bytes; the limit is {MAX_JSON_BYTES}")]
    TooLarge { bytes: usize },
}

/// The entry is one that Flask could not load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry `{name}`: {source}")]
pub struct NotAnEntry {
    pub name: String,
    pub source: JsonError,
}

/// Compresses the JSON; `None` if that does not save more than one byte, which is Flask's rule.
fn deflate(json: &[u8]) -> Option<Vec<u8>> {
    if json.len() < MIN_DEFLATE_BYTES {
        return None;
    }
    let mut compressed = Vec::with_capacity(json.len() - 2);
    let status = DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        deflater.compress_vec(json, &mut compressed, FlushCompress::Finish)
    });
    let is_shorter = matches!(status, Ok(Status::StreamEnd)) && compressed.len() + 1 < json.len();
    is_shorter.then_some(compressed)
}

/// Returns the items of the `dict` that Python makes of a payload's value.
fn items(session: PyValue) -> Result<Vec<(PyText, PyValue)>, CookieRejection> {
    let pairs = match session {
        PyValue::None => return Ok(Vec::new()),
        PyValue::Dict(items) => return Ok(items),
        other => other.into_items().ok_or(CookieRejection::Payload)?,
    };
    let pairs = pairs.into_iter().map(|pair| {
        let pair = <[PyValue; 2]>::try_from(pair.into_items()?);
        let [key, value] = pair.ok()?;
        Some((key.as_text()?.clone(), value))
    });
    pairs.collect::<Option<Vec<_>>>().map(to_dict).ok_or(CookieRejection::Payload)
}

fn content(items: Vec<(PyText, PyValue)>) -> Result<DecodedPayload, CookieRejection> {
    let mut permanent = None;
    let mut entries = Vec::with_capacity(items.len());
    for (key, value) in items {
        let name = key.as_str().filter(|name| name.len() <= Entries::MAX_NAME_BYTES).ok_or(CookieRejection::Payload)?;
        match name {
            PERMANENT => permanent = Some(value.is_true()),
            _ => entries.push((name.to_owned(), to_text(&value))),
        }
    }
    entries.sort_unstable();
    let entries = Entries::pack(entries.iter().map(|(name, json)| (name.as_str(), json.as_bytes())));
    Ok(DecodedPayload { entries, permanent })
}

fn value(name: &str, stored: &[u8]) -> Result<PyValue, NotAnEntry> {
    let json = match ValueKind::decode(stored) {
        Some(ValueKind::Raw(bytes)) => return Ok(PyValue::Bytes(bytes.into())),
        Some(ValueKind::Json(json)) => Ok(json),
        None => Err(JsonError { flaw: JsonFlaw::Syntax, line: 1, column: 1 }),
    };
    // One level more than a client may send: a tuple that Flask has read from text may have it.
    let value = json.and_then(|json| read(json, MAX_DEPTH + 1));
    value.map_err(|source| NotAnEntry { name: name.to_owned(), source })
}

/// The default of zlib and of Python.
const ZLIB_LEVEL: Compression = Compression::new(6);

/// Shorter JSON cannot become two bytes shorter: a stream has at least 10, for header, checksum and one block.
const MIN_DEFLATE_BYTES: usize = 12;

thread_local! {
    /// Kept for reuse: its tables take a quarter of a megabyte, and allocating them takes longer than using them.
    static DEFLATER: RefCell<Compress> = RefCell::new(Compress::new(ZLIB_LEVEL, true));
}
