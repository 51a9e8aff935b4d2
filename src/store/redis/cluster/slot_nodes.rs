//! Finds out where the keys of slots are now, and which slots are being moved.
//!
//! The nodes tell only operators which slots they are moving. But a node that moves a slot away redirects a client
//! by ASK that asks it for a key that it does not have, and any other node that has the slot says that there is no such key.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;

use super::Cluster;
use super::followed::Followed;
use super::redirection::Redirection;
use super::slots::Node;
use crate::store::redis::answer::server_error;
use crate::store::redis::failure::Failure;
use crate::store::redis::partitions::Slot;
use crate::store::redis::sequence::{Repeat, Sequence, pipeline};
use crate::store::redis::server_address::ServerAddress;

/// The sequences of one node, by their numbers.
type NodeReads = (Arc<Node>, Vec<usize>);

/// The nodes that have keys of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::redis) struct SlotNodes {
    pub(in crate::store::redis) owner: ServerAddress,
    /// The node that is getting the slot.
    pub(in crate::store::redis) target: Option<ServerAddress>,
}

impl Cluster {
    /// Asks for a key of each slot that does not exist.
    pub(in crate::store::redis) async fn slot_nodes(
        self: &Arc<Self>,
        reads: &[Sequence<'_>],
    ) -> Result<Vec<SlotNodes>, Failure> {
        let (mut found, mut followed) = (vec![None; reads.len()], Followed::default());
        for _ in 0..MAX_ROUNDS {
            let missing = (0..reads.len()).filter(|number| found[*number].is_none()).collect::<Vec<_>>();
            if missing.is_empty() {
                break;
            }
            let asked = self.by_node(reads, &missing)?;
            let ask = async |(node, numbers): &NodeReads| {
                let commands = numbers.iter().flat_map(|number| reads[*number].commands.cmd_iter().cloned());
                node.connections.run(&pipeline(commands), Repeat::IfClosed).await
            };
            let answers = join_all(asked.iter().map(ask)).await;
            for ((node, numbers), answers) in asked.iter().zip(answers) {
                for (number, answer) in numbers.iter().zip(answers?) {
                    found[*number] = self.read_answer(reads[*number].slot, node, &answer, &mut followed)?;
                }
            }
        }
        let contradicted = |slot| followed.failure(slot).unwrap_or_else(|| self.no_node());
        reads.iter().zip(found).map(|(read, nodes)| nodes.ok_or_else(|| contradicted(read.slot))).collect()
    }

    /// Groups sequences by the nodes that have their slots, as far as is known.
    fn by_node(&self, reads: &[Sequence<'_>], numbers: &[usize]) -> Result<Vec<NodeReads>, Failure> {
        let (table, mut nodes) = (self.table(), BTreeMap::<&ServerAddress, NodeReads>::new());
        for number in numbers {
            let node = table.node(reads[*number].slot).ok_or_else(|| self.no_node())?;
            nodes.entry(&node.address).or_insert_with(|| (Arc::clone(node), Vec::new())).1.push(*number);
        }
        Ok(nodes.into_values().collect())
    }

    /// Reads the answer of a node. `None`: another node has the slot, which is asked next.
    fn read_answer(
        self: &Arc<Self>,
        slot: Slot,
        node: &Node,
        answer: &Value,
        followed: &mut Followed,
    ) -> Result<Option<SlotNodes>, Failure> {
        let owner = node.address.clone();
        let Some(error) = server_error(answer) else { return Ok(Some(SlotNodes { owner, target: None })) };
        match Redirection::parse(error, &node.address) {
            Some(Redirection::Ask(target)) => Ok(Some(SlotNodes { owner, target: Some(target) })),
            Some(Redirection::Moved(address)) => {
                self.follow(slot, &address);
                followed.note(&node.address, "MOVED", &address);
                Ok(None)
            }
            _ => Err(node.connections.refused(error)),
        }
    }
}

/// How often slots are followed to another node.
const MAX_ROUNDS: usize = 4;
