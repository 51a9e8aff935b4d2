//! The common parts of the signed texts of itsdangerous and of Django: the application's secret keys, and the payload.
//!
//! Pure: knows keys and text, never a framework's session, an app or a request.

mod keys;
mod payload;

pub use keys::{KeysError, key_ids};
pub use payload::{MAX_JSON_BYTES, PayloadError, decode_payload};
