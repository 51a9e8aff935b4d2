//! The wire: from messages to what can be done, and back. tonic's types stop here.

mod convert;
mod session_service;
pub mod status;
pub mod wire;

pub use session_service::{MAX_REQUEST_BYTES, session_service};
