//! What a node of a cluster says instead of doing a command: in each case it surely has not done it.

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

/// The codes of the errors that [`Redirection::parse()`] knows, but for that of a script that has to be loaded.
const CODES: [&str; 7] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"];
