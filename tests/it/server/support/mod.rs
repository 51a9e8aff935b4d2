//! Servers and clients for these tests.

pub(super) mod client;
pub(super) mod echo;
pub(crate) mod raw_http1;
pub(crate) mod raw_http2;
pub(super) mod test_server;
pub(super) mod tls_service;
