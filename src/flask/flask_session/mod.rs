//! Flask-Session's cookies and Redis records, which are only read.
//!
//! The cookie has the session's id, signed if the application is set to do so. The record has the session's content as
//! MessagePack or JSON; a pickle is never read. Pure: knows no app, no request and no Redis.

mod json;
mod msgpack;
mod record;
mod sid;

pub use json::{FLOAT, strict};
pub use record::{DecodedRecord, RecordError};
pub use sid::{Sid, SidKey, SidRejection};
