//! Caller authentication: who calls, and what that caller may do.
//!
//! Contains the configured callers, the access table, the check of each call, and the check that ends the streams of
//! a removed caller. It reads HTTP headers, certificate names and addresses; it contains no gRPC types and no sockets.

mod access;
mod authenticator;
mod caller_registry;
mod callers;
mod credential;
mod error;
mod peer;
mod peer_address;
mod settings;
mod stream_permit;

pub use access::{Access, access};
pub use authenticator::Authenticator;
pub use caller_registry::CallerRegistry;
pub use callers::{Caller, Callers, KnownCaller};
pub use credential::{CertificateName, TokenHash, generate_token};
pub use error::Error;
pub use peer::Peer;
pub use peer_address::PeerAddress;
pub use settings::{CallerSettings, Role};
pub use stream_permit::{ConnectionInfo, PermittedApps, StreamPermit};

use credential::bearer_token;
