//! What a node of a cluster says instead of doing a command: in each case it surely has not done it.

use redis::{ServerError, ServerErrorKind};

use super::sentinels::ServerAddress;

/// Where or when the command may be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirection {
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
    pub(super) fn parse(error: &ServerError, node: &ServerAddress) -> Option<Self> {
        match error.kind()? {
            ServerErrorKind::Moved => Some(address(error, node).map_or(Self::Wait, Self::Moved)),
            ServerErrorKind::Ask => Some(address(error, node).map_or(Self::Wait, Self::Ask)),
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

/// Reads `3999 10.0.0.1:6381`. Without a host, the host is that of the node that says so.
fn address(error: &ServerError, node: &ServerAddress) -> Option<ServerAddress> {
    let (host, port) = error.details()?.split_whitespace().nth(1)?.rsplit_once(':')?;
    let host = match host {
        "" => &node.host,
        "?" => return None,
        host => host,
    };
    Some(ServerAddress { host: host.to_owned(), port: port.parse().ok()? })
}
