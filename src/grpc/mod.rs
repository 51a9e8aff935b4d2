//! The wire: from messages to what can be done, and back. tonic's types stop here.

mod admin_service;
mod app_authorizer;
mod convert;
mod page_token;
mod reflection;
mod rejection;
mod rpcs;
mod session_service;
pub mod status;
mod stream;
mod watch_events;
mod watch_session;
pub mod wire;

pub use admin_service::admin_service;
pub use reflection::{reflection_v1, reflection_v1alpha};
pub use rejection::{GRPC_STATUS, Rejection, not_grpc};
pub use rpcs::rpcs;
pub use session_service::{MAX_REQUEST_BYTES, session_service};

/// The service whose health is watched.
pub const SERVICE: &str = "cloakroom.v1.SessionService";

/// The operators' service, on a listener of its own.
pub const ADMIN_SERVICE: &str = "cloakroom.v1.AdminService";

/// The largest request to what anybody may ask, whoever he is: health and reflection.
///
/// A longer one is refused by its length alone, and so keeps nothing of the budget of large requests.
pub const MAX_QUESTION_BYTES: usize = 4 * 1024;
