//! The address of the other end of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address of the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    Tcp(SocketAddr),
    /// A process on this machine that connected to the Unix socket.
    Unix,
}

impl PeerAddress {
    /// Returns the network that counts as one peer: an IPv4 address or an IPv6 /64. A Unix socket has none.
    pub fn network(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(network(address.ip().to_canonical())),
            Self::Unix => None,
        }
    }
}

/// Keeps the first 64 bits of an IPv6 address, because a host can usually choose any address in its /64.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_an_ipv6_64_count_as_one_peer() {
        let network = |text: &str| PeerAddress::Tcp(text.parse().unwrap()).network();

        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8::ffff:2]:2"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        assert_eq!(network("[::ffff:192.0.2.1]:1"), network("192.0.2.1:2"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.2.2:1"));
    }
}
