//! Why a call is rejected before it reaches its service.

use super::Role;

/// Why a caller may not make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller did not identify itself; the text says what to send.
    #[error("{0}")]
    CallerUnknown(&'static str),
    /// The caller lacks the role that the RPC needs.
    #[error("this caller does not have the role {}; add it to the caller's roles", .0.as_str())]
    RoleMissing(Role),
    /// The RPC does not exist.
    #[error("the service has no such method; is the client newer than it?")]
    MethodUnknown,
    /// The caller may not use the app that the request names.
    #[error("this caller may not use that app; name it in the caller's apps, or use another one")]
    AppNotAllowed,
}
