//! Sessions of scs, for Go: the token in the cookie, and the record that its Redis stores keep.
//!
//! Only reads. Pure: knows bytes, text and times, never an app, a request or a store.

mod gob;
mod record;
mod time;
mod token;

pub use record::{DecodedRecord, RecordError};
pub use token::Token;
