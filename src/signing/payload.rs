//! A payload: base64, of a zlib stream if a dot comes first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::{Decompress, FlushDecompress, Status};

/// The longest JSON text of a payload: as large as the largest session of any app.
///
/// A compressed payload is inflated to this length and no further, even if its signature is valid.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;

/// Why a payload is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// It is not base64, or not a whole zlib stream.
    Malformed,
    /// It has more than [`MAX_JSON_BYTES`].
    TooLarge,
}

/// Decodes a payload with a valid signature.
pub fn decode_payload(payload: &str) -> Result<Vec<u8>, PayloadError> {
    let bytes = match payload.strip_prefix('.') {
        Some(compressed) => inflate(&base64(compressed)?)?,
        None => base64(payload)?,
    };
    if bytes.len() > MAX_JSON_BYTES { Err(PayloadError::TooLarge) } else { Ok(bytes) }
}

/// Decodes the canonical spelling of base64. Python reads others too, but no framework writes them.
fn base64(text: &str) -> Result<Vec<u8>, PayloadError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| PayloadError::Malformed)
}

fn inflate(compressed: &[u8]) -> Result<Vec<u8>, PayloadError> {
    // Bytes after the end of the stream are ignored, as in Python.
    let capacity = compressed.len().saturating_mul(MAX_INFLATE_RATIO).min(MAX_JSON_BYTES + 1);
    let mut bytes = Vec::with_capacity(capacity);
    match Decompress::new(true).decompress_vec(compressed, &mut bytes, FlushDecompress::Finish) {
        _ if bytes.len() > MAX_JSON_BYTES => Err(PayloadError::TooLarge),
        Ok(Status::StreamEnd) => Ok(bytes),
        Ok(Status::Ok | Status::BufError) | Err(_) => Err(PayloadError::Malformed),
    }
}

/// The most bytes that one byte of a compressed stream can become.
const MAX_INFLATE_RATIO: usize = 1032;
