//! The payload: what a session holds as Flask's JSON, compressed where that is shorter, in base64.

use std::cell::RefCell;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::read::{JsonError, JsonFlaw, MAX_DEPTH, read};
use super::signer::CookieRejection;
use super::text::PyText;
use super::value::{PyValue, to_dict};
use super::write::{to_text, write_dict};
use crate::session::{Entries, PERMANENT, ValueKind};

/// The longest JSON text of a payload, as large as a session of any app can be.
///
/// A compressed payload is inflated to this length and no further, whoever has signed it.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;

/// What a payload says.
pub(super) struct Content {
    pub(super) entries: Entries,
    pub(super) permanent: Option<bool>,
}

/// Reads a payload whose signature was right.
pub(super) fn decode(payload: &str) -> Result<Content, CookieRejection> {
    let json = match payload.strip_prefix('.') {
        Some(compressed) => inflate(&base64(compressed)?)?,
        None => base64(payload)?,
    };
    if json.len() > MAX_JSON_BYTES {
        return Err(CookieRejection::TooLarge);
    }
    let json = std::str::from_utf8(&json).map_err(|_| CookieRejection::Payload)?;
    // One level more than a value may have: that of the session itself.
    let session = read(json, MAX_DEPTH + 1).map_err(|_| CookieRejection::Payload)?;
    content(items(session)?)
}

/// Writes the payload that Flask writes for the same session.
pub(super) fn encode(entries: &Entries, permanent: Option<bool>) -> Result<String, NotAnEntry> {
    let permanent = permanent.map(|permanent| (PyText::from(PERMANENT), PyValue::Bool(permanent)));
    let named = entries.iter().filter(|(name, _)| *name != PERMANENT);
    let named = named.map(|(name, stored)| Ok((PyText::from(name), value(name, stored)?)));
    let items = named.chain(permanent.map(Ok)).collect::<Result<Vec<_>, NotAnEntry>>()?;
    let mut json = String::new();
    write_dict(&mut json, &items.iter().map(|(name, value)| (name, value)).collect::<Vec<_>>());

    Ok(match deflate(json.as_bytes()) {
        Some(compressed) => format!(".{}", URL_SAFE_NO_PAD.encode(compressed)),
        None => URL_SAFE_NO_PAD.encode(json),
    })
}

/// An entry that Flask could not load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry `{name}`: {source}")]
pub struct NotAnEntry {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub source: JsonError,
}

/// The one spelling of base64: what else Python would read, nothing legitimate writes.
fn base64(text: &str) -> Result<Vec<u8>, CookieRejection> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| CookieRejection::Payload)
}

fn inflate(compressed: &[u8]) -> Result<Vec<u8>, CookieRejection> {
    // What follows the end of the stream does not count, as in Python.
    let room = compressed.len().saturating_mul(MOST_INFLATED).min(MAX_JSON_BYTES + 1);
    let mut json = Vec::with_capacity(room);
    match Decompress::new(true).decompress_vec(compressed, &mut json, FlushDecompress::Finish) {
        _ if json.len() > MAX_JSON_BYTES => Err(CookieRejection::TooLarge),
        Ok(Status::StreamEnd) => Ok(json),
        Ok(Status::Ok | Status::BufError) | Err(_) => Err(CookieRejection::Payload),
    }
}

/// The JSON compressed, if that saves more than a byte: Flask's own rule.
fn deflate(json: &[u8]) -> Option<Vec<u8>> {
    if json.len() < LEAST_DEFLATED {
        return None;
    }
    let mut compressed = Vec::with_capacity(json.len() - 2);
    let status = DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        deflater.compress_vec(json, &mut compressed, FlushCompress::Finish)
    });
    let is_whole = matches!(status, Ok(Status::StreamEnd)) && compressed.len() + 1 < json.len();
    is_whole.then_some(compressed)
}

/// The items of the `dict` that Python makes of what a payload held.
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

fn content(items: Vec<(PyText, PyValue)>) -> Result<Content, CookieRejection> {
    let mut permanent = None;
    let mut entries = Vec::with_capacity(items.len());
    for (key, value) in items {
        let name = key.as_str().filter(|name| name.len() <= MAX_NAME_BYTES).ok_or(CookieRejection::Payload)?;
        match name {
            PERMANENT => permanent = Some(value.is_true()),
            _ => entries.push((name.to_owned(), to_text(&value))),
        }
    }
    entries.sort_unstable();
    let entries = Entries::pack(entries.iter().map(|(name, json)| (name.as_str(), json.as_bytes())));
    Ok(Content { entries, permanent })
}

fn value(name: &str, stored: &[u8]) -> Result<PyValue, NotAnEntry> {
    let json = match ValueKind::decode(stored) {
        Some(ValueKind::Raw(bytes)) => return Ok(PyValue::Bytes(bytes.into())),
        Some(ValueKind::Json(json)) => Ok(json),
        None => Err(JsonError { flaw: JsonFlaw::Syntax, line: 1, column: 1 }),
    };
    // One level more than a client may send: a tuple that Flask read out of a text may have it.
    let value = json.and_then(|json| read(json, MAX_DEPTH + 1));
    value.map_err(|source| NotAnEntry { name: name.to_owned(), source })
}

/// The longest name that entries have room for.
const MAX_NAME_BYTES: usize = u16::MAX as usize;

/// zlib's own default, and Python's.
const ZLIB_LEVEL: Compression = Compression::new(6);

/// No stream is shorter than 10 bytes: header, checksum, and a block of two symbols at least.
const LEAST_DEFLATED: usize = 12;

thread_local! {
    /// Its tables have a quarter of a megabyte, and to lay them out takes longer than to use them.
    static DEFLATER: RefCell<Compress> = RefCell::new(Compress::new(ZLIB_LEVEL, true));
}

/// No byte of a compressed stream stands for more.
const MOST_INFLATED: usize = 1032;
