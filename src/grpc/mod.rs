//! The wire: from messages to what can be done, and back. tonic's types stop here.

mod convert;
mod farewell;
mod reflection;
mod session_service;
pub mod status;
mod stream;
#[expect(dead_code, reason = "AdminService, whose method it is, comes with the next change")]
mod watch_events;
mod watch_session;
pub mod wire;

pub use farewell::Farewell;
pub use reflection::{reflection_v1, reflection_v1alpha};
pub use session_service::{MAX_REQUEST_BYTES, session_service};

/// The service whose health is watched.
pub const SERVICE: &str = "cloakroom.v1.SessionService";
