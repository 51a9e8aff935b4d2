//! A socket address in a configuration: `"127.0.0.1:50051"`, `"[::1]:50051"`, or `""` for none.
//!
//! Host names are refused: who can reach a listener must not depend on a resolver.

use std::net::SocketAddr;

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

/// For `#[serde(with = "listen_address")]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(source)?;
    if text.is_empty() {
        return Ok(None);
    }
    let describe =
        |_| format!("`{text}` is no IP address with a port; write one such as 127.0.0.1:50051 or [::1]:50051");
    text.parse().map(Some).map_err(describe).map_err(serde::de::Error::custom)
}

/// For `#[serde(with = "listen_address")]`.
pub(crate) fn serialize<S: Serializer>(address: &Option<SocketAddr>, target: S) -> Result<S::Ok, S::Error> {
    address.map(|address| address.to_string()).unwrap_or_default().serialize(target)
}
