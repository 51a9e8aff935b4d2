//! Flask-Session's cookies and Redis records: read, never written.
//!
//! The cookie holds a session's id, signed if the application asked for that; the record what the session holds, as
//! MessagePack or JSON. A pickle is never looked into. Pure: knows no app, no request and no Redis.

mod json;
mod msgpack;
mod record;
mod sid;

pub use json::{FLOAT, strict};
pub use record::{DecodedRecord, RecordError};
pub use sid::{Sid, SidKey, SidRejection};
