//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// A caller by TCP.
    Tcp(SocketAddr),
    /// A caller on this machine, by the Unix socket.
    Unix,
}

impl PeerAddress {
    /// The addresses that one caller is taken to have; a Unix socket has none.
    pub fn network(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(network(address.ip().to_canonical())),
            Self::Unix => None,
        }
    }
}

/// An IPv6 host usually has a whole /64 to choose its addresses from.
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
    fn one_ipv6_network_is_one_caller() {
        let network = |text: &str| PeerAddress::Tcp(text.parse().unwrap()).network();

        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8::ffff:2]:2"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        assert_eq!(network("[::ffff:192.0.2.1]:1"), network("192.0.2.1:2"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.2.2:1"));
    }
}
