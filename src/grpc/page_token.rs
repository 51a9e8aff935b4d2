//! Page tokens: a store's cursor as text, valid for the listing of one app or of one of its subjects.
//!
//! A page token is not a secret and grants nothing. The digest before the cursor detects a damaged token and one of
//! another listing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::request_error::RequestError;
use crate::store::Cursor;
use crate::types::AppName;

/// Formats a cursor.
pub(super) fn text(app: &AppName, subject: &str, cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode([&digest(app, subject, cursor)[..], &cursor.0].concat())
}

/// Parses a cursor; an empty text is the beginning.
pub(super) fn parse(app: &AppName, subject: &str, text: &str) -> Result<Cursor, RequestError> {
    if text.is_empty() {
        return Ok(Cursor::default());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| RequestError::PageToken)?;
    let (received, cursor) = bytes.split_first_chunk::<DIGEST>().ok_or(RequestError::PageToken)?;
    let cursor = Cursor(cursor.to_vec());
    if *received == digest(app, subject, &cursor) { Ok(cursor) } else { Err(RequestError::PageToken) }
}

fn digest(app: &AppName, subject: &str, cursor: &Cursor) -> [u8; DIGEST] {
    // An app's name contains no zero byte.
    let listing = Sha256::new().chain_update(app.as_bytes()).chain_update([0]).chain_update(subject).finalize();
    let hash = Sha256::new().chain_update(listing).chain_update(&cursor.0).finalize();
    *hash.first_chunk().expect("a SHA-256 has 32 bytes")
}

const DIGEST: usize = 8;
