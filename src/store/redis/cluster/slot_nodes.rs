//! Finds out where the keys of slots are now, and which slots are being moved.
//!
//! The nodes tell only operators which slots they are moving. But a node that moves a slot away redirects a client
//! by ASK that asks it for a key that it does not have, and any other node that has the slot says that there is no such key.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;
use tokio::time::Instant;

use super::followed::Followed;
use super::redirection::Redirection;
use super::slots::Node;
use super::{Cluster, wait};
use crate::store::redis::answer::server_error;
use crate::store::redis::failure::Failure;
use crate::store::redis::sequence::{Repeat, Sequence, pipeline};
use crate::store::redis::server_address::ServerAddress;

/// The sequences of one node, by their numbers.
type NodeReads = (Arc<Node>, Vec<usize>);

/// Which nodes have keys of a slot.
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
        let deadline = Instant::now() + self.target.timeout;
        let (mut found, mut followed) = (vec![None; reads.len()], Followed::default());
        let (mut rounds, mut waits) = (0, 0);
        while rounds < MAX_ROUNDS {
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
            let mut refused = None;
            for ((node, numbers), answers) in asked.iter().zip(answers) {
                for (number, answer) in numbers.iter().zip(answers?) {
                    match self.read_answer(&reads[*number], node, &answer, &mut followed).await? {
                        SlotAnswer::At(nodes) => found[*number] = Some(nodes),
                        SlotAnswer::Moved => {}
                        SlotAnswer::Later(failure) => refused = Some(failure),
                    }
                }
            }
            match refused {
                None => rounds += 1,
                Some(failure) => {
                    self.refresh_soon();
                    waits += 1;
                    wait(waits, deadline).await.map_err(|()| failure)?;
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

    /// Reads the answer of a node.
    async fn read_answer(
        self: &Arc<Self>,
        read: &Sequence<'_>,
        node: &Arc<Node>,
        answer: &Value,
        followed: &mut Followed,
    ) -> Result<SlotAnswer, Failure> {
        let owner = node.address.clone();
        let Some(error) = server_error(answer) else { return Ok(SlotAnswer::At(SlotNodes { owner, target: None })) };
        let failure = node.connections.refused(error);
        match Redirection::parse(error, &node.address) {
            Some(Redirection::Ask(target)) => Ok(SlotAnswer::At(SlotNodes { owner, target: Some(target) })),
            Some(Redirection::AskAtPort(port)) => Ok(match self.target_at_port(read, port, node).await? {
                Some(target) => SlotAnswer::At(SlotNodes { owner, target: Some(target) }),
                None => SlotAnswer::Later(failure),
            }),
            Some(Redirection::Moved(address)) => {
                self.follow(read.slot, &address);
                followed.note(&node.address, "MOVED", &address);
                Ok(SlotAnswer::Moved)
            }
            Some(Redirection::Wait) => Ok(SlotAnswer::Later(failure)),
            _ => Err(failure),
        }
    }

    /// Finds the node at this port that is getting the slot: it answers where the others redirect.
    async fn target_at_port(
        &self,
        read: &Sequence<'_>,
        port: u16,
        owner: &Arc<Node>,
    ) -> Result<Option<ServerAddress>, Failure> {
        for node in self.others_at_port(port, owner) {
            let answers = node.connections.run(&read.asking(0), Repeat::IfClosed).await?;
            if answers.iter().all(|answer| server_error(answer).is_none()) {
                return Ok(Some(node.address.clone()));
            }
        }
        Ok(None)
    }
}

/// What a node says about a slot.
enum SlotAnswer {
    At(SlotNodes),
    /// Another node has it, which is asked next.
    Moved,
    /// It has to be asked again.
    Later(Failure),
}

/// How often slots are followed to another node.
const MAX_ROUNDS: usize = 4;
