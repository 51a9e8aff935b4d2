//! The errors that a node of a cluster answers instead of doing a command: in each case it surely has not done it.

use std::sync::atomic::{AtomicU64, Ordering};

use redis::{ServerError, ServerErrorKind};

use crate::store::redis::server_address::ServerAddress;

/// How often nodes have said each of these.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct Redirections([AtomicU64; CODES.len()]);

impl Redirections {
    /// Counts an error of a node, if it is one of these.
    pub(in crate::store::redis) fn count(&self, error: &ServerError) {
        if let Some(index) = CODES.iter().position(|code| *code == error.code()) {
            self.0[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(in crate::store::redis) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CODES.into_iter().zip(&self.0).map(|(code, count)| (code, count.load(Ordering::Relaxed)))
    }
}

/// Where or when the command may be done.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Redirection {
    /// Another node has the slot.
    Moved(ServerAddress),
    /// The key may be at a node that is getting the slot.
    Ask(ServerAddress),
    /// Later: the slot is being moved and its keys are at two nodes.
    Split,
    /// Later, maybe at another node.
    Wait,
    /// At this node, once the script is loaded.
    NoScript,
}

impl Redirection {
    /// Reads an error of the node at this address. `None`: it is none of these.
    pub(in crate::store::redis) fn parse(error: &ServerError, node: &ServerAddress) -> Option<Self> {
        match error.kind()? {
            ServerErrorKind::Moved => Some(address(error, node).map_or(Self::Wait, Self::Moved)),
            ServerErrorKind::Ask => {
                // CLUSTER SLOTS tells where a node without a name is once it has the slot, but not before.
                let asked = address(error, node).or_else(|| on_same_host(error, node));
                Some(asked.map_or(Self::Wait, Self::Ask))
            }
            ServerErrorKind::TryAgain => Some(Self::Split),
            ServerErrorKind::ClusterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly => Some(Self::Wait),
            ServerErrorKind::NoScript => Some(Self::NoScript),
            _ => None,
        }
    }
}

/// The address in a redirection. Without a host, the host is that of the node that says so.
///
/// `None`: the other node should announce a name and has none, or nobody knows its address.
fn address(error: &ServerError, node: &ServerAddress) -> Option<ServerAddress> {
    let (host, port) = host_and_port(error)?;
    let host = match host {
        "" => &node.host,
        NO_NAME => return None,
        host => host,
    };
    Some(ServerAddress { host: host.to_owned(), port })
}

/// The address of a node without a name, if it is at another port of the host of the node that says so.
///
/// At the same port it would be that node itself, which would redirect without an end.
fn on_same_host(error: &ServerError, node: &ServerAddress) -> Option<ServerAddress> {
    let (host, port) = host_and_port(error)?;
    (host == NO_NAME && port != node.port).then(|| ServerAddress { host: node.host.clone(), port })
}

/// Reads `3999 10.0.0.1:6381`. `None`: it is malformed, or the port is 0, because another node has got the address.
fn host_and_port(error: &ServerError) -> Option<(&str, u16)> {
    let (host, port) = error.details()?.split_whitespace().nth(1)?.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((host, port))
}

/// The host of a node that should announce a name and has none.
const NO_NAME: &str = "?";

/// The codes of the errors that [`Redirection::parse()`] knows, but for that of a script that has to be loaded.
const CODES: [&str; 7] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"];

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn at(host: &str, port: u16) -> ServerAddress {
        ServerAddress { host: host.to_owned(), port }
    }

    #[test]
    fn a_node_without_its_name_is_asked_at_the_host_of_the_node_that_says_so() {
        let at_node = |port| at("answered.example", port);
        let table = [
            ("-ASK 3999 ?:7000\r\n", Redirection::Ask(at_node(7000))),
            // It would be asked itself, and redirect again.
            ("-ASK 3999 ?:6379\r\n", Redirection::Wait),
            // CLUSTER SLOTS tells its address.
            ("-MOVED 3999 ?:7000\r\n", Redirection::Wait),
        ];

        for (text, expected) in table {
            let Ok(Value::ServerError(error)) = parse_redis_value(text.as_bytes()) else {
                panic!("{text} is no error")
            };
            assert_eq!(Redirection::parse(&error, &at_node(6379)), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_redirection_leads_to_the_host_that_it_names_or_else_to_that_of_the_node_that_says_so() {
        // The address as nodes write it, and the host and the port that it means.
        let table = [
            ("10.0.0.1:6381", Some(("10.0.0.1", 6381))),
            ("node-1.redis.example:7000", Some(("node-1.redis.example", 7000))),
            // Redis writes IPv6 without brackets.
            ("::1:7000", Some(("::1", 7000))),
            ("fd00:0:0:1::a:7000", Some(("fd00:0:0:1::a", 7000))),
            ("::ffff:10.0.0.1:65535", Some(("::ffff:10.0.0.1", 65535))),
            (":7000", Some(("answered.example", 7000))),
            ("10.0.0.1", None),
            ("10.0.0.1:", None),
            ("10.0.0.1:port", None),
            ("10.0.0.1:65536", None),
            // Nobody knows where the node is.
            (":0", None),
            ("", None),
        ];

        for (text, expected) in table {
            let expected = expected.map(|(host, port)| at(host, port));
            for (code, redirection) in [("MOVED", Redirection::Moved as fn(_) -> _), ("ASK", Redirection::Ask)] {
                let answer = parse_redis_value(format!("-{code} 3999 {text}\r\n").as_bytes());
                let Ok(Value::ServerError(error)) = answer else { panic!("{answer:?} is no error") };

                let read = Redirection::parse(&error, &at("answered.example", 6379));

                assert_eq!(read, Some(expected.clone().map_or(Redirection::Wait, redirection)), "{code} {text}");
            }
        }
    }
}
