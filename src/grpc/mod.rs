//! The gRPC layer: the generated messages and services, and their conversion to and from the service layer.
//!
//! Protobuf messages are used here and by [`crate::cli`], which is a client of the service. Errors become a
//! [`tonic::Status`] only in [`status`]. This layer contains no sockets; [`crate::server`] knows tonic too, and calls
//! these services with HTTP requests.

mod admin_service;
mod app_authorizer;
mod audit;
mod codec;
mod convert;
mod describe;
pub mod envoy;
mod export_sessions;
mod migrate_store;
mod page_token;
mod reflection;
mod rejection;
mod request_error;
mod rpcs;
mod session_service;
pub mod status;
mod stream;
mod unary;
mod watch_events;
mod watch_session;
pub mod wire;

pub use admin_service::admin_service;
pub use audit::AuditRecord;
pub use reflection::{reflection_v1, reflection_v1alpha};
pub use rejection::{GRPC_STATUS, Rejection};
pub use rpcs::{DESCRIPTOR_SETS, rpcs};
pub use session_service::{MAX_REQUEST_BYTES, session_service};
pub use unary::{SessionServer, UnaryRequest, UnaryResponse};
pub use wire::admin_service_server::SERVICE_NAME as ADMIN_SERVICE;
pub use wire::session_service_server::SERVICE_NAME as SESSION_SERVICE;

/// The name by which health checks ask whether sessions can be read, whether or not the store takes writes.
pub const READABLE_SERVICE: &str = "cloakroom.v1.SessionService.readable";

/// The largest request to the health and reflection services, which callers without a role may use.
///
/// A longer one is rejected by its length prefix alone, so it never holds a part of the budget for large requests.
pub const MAX_META_REQUEST_BYTES: usize = 4 * 1024;

/// Returns the size of the largest request to an RPC, by its path.
pub fn max_request_bytes(path: &str) -> usize {
    if path.starts_with("/grpc.") { MAX_META_REQUEST_BYTES } else { MAX_REQUEST_BYTES }
}
