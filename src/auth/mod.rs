//! Caller authentication: who calls, and what that caller may do.
//!
//! Everything about callers is here: how they are configured, which RPC needs which role, and the check of one call.
//! Contains no gRPC types and no sockets: it sees headers, certificate names and addresses.

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
pub use credential::{CertificateName, TokenHash, bearer_token, generate_token};
pub use error::Error;
pub use peer::Peer;
pub use peer_address::PeerAddress;
pub use settings::{CallerSettings, Role};
pub use stream_permit::{ConnectionInfo, StreamPermit};
