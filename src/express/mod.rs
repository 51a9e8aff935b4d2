//! Sessions of express-session: the id in a signed cookie, and the record that connect-redis stores.
//!
//! Only reads. Pure: knows keys, text and times, never an app, a request or a store.

mod record;
mod sid;

pub use record::{CookieLifetime, DecodedRecord};
pub use sid::{Sid, SidRejection, Signer, looks_like_cookie};
