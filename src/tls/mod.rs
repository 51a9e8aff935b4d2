//! The common parts of all TLS of the service: its PEM files, its cryptography and its versions.
//!
//! Connections are no part of it: `server` has those of its listeners, and each client its own.

mod expiry;
mod pem;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ConfigBuilder, SupportedProtocolVersion, WantsVerifier};

pub(crate) use expiry::{ChainExpiry, expire_times};
pub use pem::{Error, ErrorKind};
pub(crate) use pem::{certificates, private_key, read, roots};

/// Starts the configuration of a client.
pub(crate) fn client_builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(provider());
    builder.with_protocol_versions(&VERSIONS).expect("ring speaks both versions")
}

/// Returns the cryptography. It is named wherever rustls asks, so that nothing depends on a default of the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The versions that are spoken, as a listener and as a client.
pub(crate) static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
