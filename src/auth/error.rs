//! Why a call is rejected before it reaches its service.

use super::Role;

/// Why a caller may not make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller did not identify itself; the text says what to send.
    CallerUnknown(&'static str),
    /// The caller lacks the role that the RPC needs. `None`: no role allows it.
    RoleMissing(Option<Role>),
    /// The RPC does not exist.
    MethodUnknown,
    /// The caller may not use the app that the request names.
    AppNotAllowed,
}
