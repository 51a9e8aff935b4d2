//! The address of a service: TCP or a Unix socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:50051`, or a host name: `cloakroom:50051`.
    Tcp(String),
    /// `unix:/run/cloakroom/cloakroom.sock`.
    Unix(PathBuf),
}

impl Address {
    /// Returns where this machine reaches a service that listens at `listen`: loopback, if that is a wildcard.
    pub fn of_listener(listen: SocketAddr) -> Self {
        let host = match listen.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        Self::Tcp(SocketAddr::new(host, listen.port()).to_string())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let is_host_and_port = |(host, port): &(&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
        match text.rsplit_once(':').filter(is_host_and_port) {
            Some(_) if !text.contains('/') => Ok(Self::Tcp(text.to_owned())),
            _ => Err("write HOST:PORT, such as 127.0.0.1:50051, or unix:PATH".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
