//! Page tokens: a store's cursor as text, good for the app it was given for.
//!
//! They are no secret and no right: the digest before the cursor tells a slip from a page, and app from app.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::status::RequestError;
use crate::store::Cursor;
use crate::types::AppName;

/// The text for a cursor.
pub(super) fn text(app: &AppName, cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode([&digest(app, cursor)[..], &cursor.0].concat())
}

/// The cursor of a text; an empty text is the beginning.
pub(super) fn parse(app: &AppName, text: &str) -> Result<Cursor, RequestError> {
    if text.is_empty() {
        return Ok(Cursor::default());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| RequestError::PageToken)?;
    let (shown, cursor) = bytes.split_first_chunk::<DIGEST>().ok_or(RequestError::PageToken)?;
    let cursor = Cursor(cursor.to_vec());
    if *shown == digest(app, &cursor) { Ok(cursor) } else { Err(RequestError::PageToken) }
}

fn digest(app: &AppName, cursor: &Cursor) -> [u8; DIGEST] {
    // No name of an app holds a zero byte, so the two cannot run into each other.
    let hash = Sha256::new().chain_update(app.as_bytes()).chain_update([0]).chain_update(&cursor.0).finalize();
    let mut cut = [0; DIGEST];
    cut.copy_from_slice(&hash[..DIGEST]);
    cut
}

const DIGEST: usize = 8;
