//! The redirections that one sequence has followed, for the error if they never end.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use crate::store::redis::failure::{Cause, Failure};
use crate::store::redis::partitions::Slot;
use crate::store::redis::server_address::ServerAddress;

/// Redirections, each once. Costs nothing while there are none.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct Followed(Vec<Redirected>);

#[derive(Debug, PartialEq, Eq)]
struct Redirected {
    from: ServerAddress,
    /// The answer of the node.
    code: &'static str,
    to: ServerAddress,
}

impl Followed {
    /// Notes that a node has redirected to another one.
    pub(in crate::store::redis) fn note(&mut self, from: &ServerAddress, code: &'static str, to: &ServerAddress) {
        let redirected = Redirected { from: from.clone(), code, to: to.clone() };
        if self.0.len() < MOST && !self.0.contains(&redirected) {
            self.0.push(redirected);
        }
    }

    /// Makes the failure of redirections without an end; `None` if there were none.
    pub(in crate::store::redis) fn failure(&self, slot: Slot) -> Option<Failure> {
        let address = Arc::from(self.0.first()?.from.to_string());
        Some(Failure { address, cause: Cause::RedirectedAgain { slot: slot.0, followed: self.to_string().into() } })
    }
}

impl Display for Followed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, Redirected { from, code, to }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{from} says {code} {to}")?;
        }
        Ok(())
    }
}

/// How many redirections are named. A circle of more nodes is as wrong.
const MOST: usize = 6;
