//! The nodes of a Redis Cluster, by their slots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue as _, Value};
use tokio::time::Instant;

use super::feed_timeout::FeedTimeout;
use crate::store::redis::connection::connections::Connections;
use crate::store::redis::node_ids::node_id;
use crate::store::redis::partitions::Slot;
use crate::store::redis::server_address::ServerAddress;

/// A primary of the cluster.
#[derive(Debug)]
pub(in crate::store::redis) struct Node {
    pub(in crate::store::redis) address: ServerAddress,
    pub(in crate::store::redis) connections: Connections,
    pub(in crate::store::redis) feed_timeout: FeedTimeout,
}

/// The node of each slot, as far as it is known.
#[derive(Clone, Debug)]
pub(in crate::store::redis) struct SlotTable {
    nodes: Vec<Arc<Node>>,
    /// For each slot an index into the nodes, or [`NO_NODE`].
    by_slot: Vec<u16>,
    /// The ranges that it was built of.
    ranges: SlotRanges,
    /// When a redirection changed it for the last time.
    redirected: Option<Instant>,
}

impl SlotTable {
    pub(in crate::store::redis) fn empty() -> Self {
        let by_slot = vec![NO_NODE; usize::from(Slot::COUNT)];
        Self { nodes: Vec::new(), by_slot, ranges: SlotRanges::default(), redirected: None }
    }

    /// Builds it of what a node has said, with the connections to nodes that this table has already.
    ///
    /// `None` if it said the same before. Redirections since then hold for a while, for nodes hear of a moved slot late.
    pub(in crate::store::redis) fn updated(
        &self,
        ranges: SlotRanges,
        make: impl Fn(&ServerAddress) -> Arc<Node>,
    ) -> Option<Self> {
        if self.ranges == ranges && self.redirected.is_none_or(|time| time.elapsed() < REDIRECTION_HOLDS) {
            return None;
        }
        let mut table = Self::empty();
        let mut indices = BTreeMap::new();
        for SlotRange { first, last, address, .. } in &ranges.0 {
            let Some(address) = address else { continue };
            let index = *indices.entry(address).or_insert_with(|| {
                table.nodes.push(self.at(address).unwrap_or_else(|| make(address)));
                u16::try_from(table.nodes.len() - 1).unwrap_or(NO_NODE)
            });
            if let Some(slots) = table.by_slot.get_mut(usize::from(*first)..=usize::from(*last)) {
                slots.fill(index);
            }
        }
        Some(Self { ranges, ..table })
    }

    /// Returns the table with another node for one slot; `None` if it is the node that has it already.
    pub(in crate::store::redis) fn moved(
        &self,
        slot: Slot,
        address: &ServerAddress,
        make: impl Fn(&ServerAddress) -> Arc<Node>,
    ) -> Option<Self> {
        if self.node(slot).is_some_and(|node| node.address == *address) {
            return None;
        }
        let mut table = self.clone();
        let index = table.nodes.iter().position(|node| node.address == *address).unwrap_or_else(|| {
            table.nodes.push(make(address));
            table.nodes.len() - 1
        });
        *table.by_slot.get_mut(usize::from(slot.0))? = u16::try_from(index).ok()?;
        table.redirected = Some(Instant::now());
        Some(table)
    }

    pub(in crate::store::redis) fn node(&self, slot: Slot) -> Option<&Arc<Node>> {
        self.nodes.get(usize::from(*self.by_slot.get(usize::from(slot.0))?))
    }

    /// The number of a slot's node: less than the number of nodes, or `u16::MAX` if no node is known for it.
    pub(in crate::store::redis) fn node_number(&self, slot: Slot) -> u16 {
        self.by_slot.get(usize::from(slot.0)).copied().unwrap_or(NO_NODE)
    }

    /// The node at this address.
    pub(in crate::store::redis) fn at(&self, address: &ServerAddress) -> Option<Arc<Node>> {
        self.nodes.iter().find(|node| node.address == *address).map(Arc::clone)
    }

    /// Whether each slot is at the same node, or nothing was known before.
    pub(in crate::store::redis) fn is_same_as(&self, before: &Self) -> bool {
        let address = |table: &Self, slot| table.node(slot).map(|node| node.address.clone());
        before.nodes.is_empty() || (0..Slot::COUNT).map(Slot).all(|slot| address(self, slot) == address(before, slot))
    }

    /// The first and the last slot of a node.
    pub(in crate::store::redis) fn some_slots(&self, node: &Arc<Node>) -> Vec<Slot> {
        let Some(index) = self.nodes.iter().position(|other| Arc::ptr_eq(other, node)) else { return Vec::new() };
        let is_its = |slot: &Slot| usize::from(self.by_slot[usize::from(slot.0)]) == index;
        let mut slots = (0..Slot::COUNT).map(Slot);
        let (first, last) = (slots.clone().find(is_its), slots.rfind(is_its));
        first.into_iter().chain(last).collect()
    }

    /// Returns the last answer of a node, but for redirections.
    pub(in crate::store::redis) const fn ranges(&self) -> &SlotRanges {
        &self.ranges
    }

    /// How many slots have no node.
    pub(in crate::store::redis) fn uncovered(&self) -> usize {
        self.by_slot.iter().filter(|node| **node == NO_NODE).count()
    }

    /// All nodes, in the order of their first slots.
    pub(in crate::store::redis) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }
}

/// The ranges of slots that a node states, in the order of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::redis) struct SlotRanges(Vec<SlotRange>);

/// First and last slot, and their primary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SlotRange {
    first: u16,
    last: u16,
    /// The id of the primary.
    id: String,
    /// `None`: nobody knows its address, because another node has got it, or it was never told.
    address: Option<ServerAddress>,
}

impl SlotRanges {
    /// Reads the answer to CLUSTER SLOTS of the node at this address.
    pub(in crate::store::redis) fn parse(answer: Value, asked: &ServerAddress) -> Option<Self> {
        let ranges = Vec::<Vec<Value>>::from_redis_value(answer).ok()?;
        let mut ranges = ranges.into_iter().map(|range| parse_range(range, asked)).collect::<Option<Vec<_>>>()?;
        // Nodes answer in an order of their own.
        ranges.sort_unstable_by_key(|range| (range.first, range.last));
        Some(Self(ranges))
    }

    /// Whether no slot has a node.
    pub(in crate::store::redis) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each slot has the same primary, wherever that is.
    pub(in crate::store::redis) fn agree_with(&self, others: &Self) -> bool {
        let is_same = |(one, other): (&SlotRange, &SlotRange)| {
            (one.first, one.last, &one.id) == (other.first, other.last, &other.id)
        };
        self.0.len() == others.0.len() && self.0.iter().zip(&others.0).all(is_same)
    }
}

fn parse_range(range: Vec<Value>, asked: &ServerAddress) -> Option<SlotRange> {
    let mut range = range.into_iter();
    let (first, last) = (u16::from_redis_value(range.next()?).ok()?, u16::from_redis_value(range.next()?).ok()?);
    let primary = Vec::<Value>::from_redis_value(range.next()?).ok()?;
    let id = node_id(&primary)?;
    let mut primary = primary.into_iter();
    let (host, port) = (primary.next()?, u16::from_redis_value(primary.next()?).ok()?);
    if port == 0 {
        return Some(SlotRange { first, last, id, address: None });
    }
    let host = Option::<String>::from_redis_value(host).ok()?;
    let host = match host.as_deref() {
        // It has been told to announce nothing, so it is where it was asked.
        None | Some("") => asked.host.clone(),
        // It should announce a name and has none. Then its address stands behind its id, if it knows that.
        Some("?") => match announced_ip(primary.nth(1)?)? {
            ip if ip.is_empty() => asked.host.clone(),
            ip => ip,
        },
        Some(host) => host.to_owned(),
    };
    Some(SlotRange { first, last, id, address: Some(ServerAddress { host, port }) })
}

fn announced_ip(metadata: Value) -> Option<String> {
    let metadata = Vec::<String>::from_redis_value(metadata).ok()?;
    let (pairs, _) = metadata.as_chunks::<2>();
    pairs.iter().find(|[name, _]| name == "ip").map(|[_, ip]| ip.clone())
}

const NO_NODE: u16 = u16::MAX;

/// How long a redirection counts more than what other nodes say.
const REDIRECTION_HOLDS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(first: i64, last: i64, primary: Vec<Value>) -> Value {
        Value::Array(vec![Value::Int(first), Value::Int(last), Value::Array(primary)])
    }

    /// Reads an answer to CLUSTER SLOTS. `None`: it is malformed.
    fn parse(ranges: Vec<Value>) -> Option<Vec<String>> {
        let asked = ServerAddress { host: "10.0.0.9".to_owned(), port: 1 };
        let SlotRanges(ranges) = SlotRanges::parse(Value::Array(ranges), &asked)?;
        let at = |range: &SlotRange| range.address.as_ref().map_or("nowhere".to_owned(), ToString::to_string);
        Some(ranges.iter().map(|range| format!("{}-{} {}", range.first, range.last, at(range))).collect())
    }

    #[test]
    fn a_node_is_where_it_announces_itself() {
        let metadata = |pairs: &[&str]| Value::Array(pairs.iter().map(|text| bytes(text)).collect());
        // The endpoint of a node, what is told besides, and the address that it means.
        let table = [
            (bytes("node1.example"), metadata(&["ip", "10.0.0.3"]), "node1.example:7000"),
            (bytes("10.0.0.3"), metadata(&["hostname", "node1.example"]), "10.0.0.3:7000"),
            (bytes("fd00::3"), metadata(&[]), "[fd00::3]:7000"),
            // It does not know its own address, or is told not to say it.
            (bytes(""), metadata(&[]), "10.0.0.9:7000"),
            (Value::Nil, metadata(&["ip", "10.0.0.3"]), "10.0.0.9:7000"),
            // It should announce a name and has none.
            (bytes("?"), metadata(&["ip", "10.0.0.3"]), "10.0.0.3:7000"),
            (bytes("?"), metadata(&["shard", "a", "ip", "fd00::3"]), "[fd00::3]:7000"),
            // The same, and it does not know its own address either.
            (bytes("?"), metadata(&["ip", ""]), "10.0.0.9:7000"),
        ];

        for (endpoint, metadata, expected) in table {
            let node = vec![endpoint.clone(), Value::Int(7000), bytes("id"), metadata.clone()];
            let read = parse(vec![range(0, 99, node)]);
            assert_eq!(read, Some(vec![format!("0-99 {expected}")]), "{endpoint:?} {metadata:?}");
        }
    }

    #[test]
    fn a_node_without_an_address_is_nowhere_and_not_where_another_one_was_asked() {
        for host in [bytes(""), Value::Nil, bytes("?")] {
            let metadata = Value::Array(vec![bytes("ip"), bytes("")]);
            let lost = vec![host.clone(), Value::Int(0), bytes("lost"), metadata];
            let known = vec![bytes("10.0.0.3"), Value::Int(7000), bytes("known")];

            let read = parse(vec![range(0, 99, lost), range(100, 199, known)]);

            assert_eq!(read.unwrap(), ["0-99 nowhere", "100-199 10.0.0.3:7000"], "{host:?}");
        }
    }

    #[test]
    fn ranges_are_in_the_order_of_slots_and_have_their_primaries() {
        let primary = |host| vec![bytes(host), Value::Int(7000), bytes("id")];
        let Value::Array(mut second) = range(100, 199, primary("b")) else { panic!("a range is an array") };
        let replica = Value::Array(primary("c"));
        second.push(replica);

        let read = parse(vec![Value::Array(second), range(0, 99, primary("a"))]);

        assert_eq!(read.unwrap(), ["0-99 a:7000", "100-199 b:7000"]);
    }

    #[test]
    fn an_answer_without_a_part_that_is_needed_is_malformed() {
        let nodes = [
            vec![],
            vec![bytes("a")],
            vec![bytes("a"), bytes("port")],
            vec![bytes("?"), Value::Int(7000), bytes("id")],
        ];

        for node in nodes {
            assert_eq!(parse(vec![range(0, 99, node.clone())]), None, "{node:?}");
        }
        assert_eq!(parse(vec![Value::Array(vec![Value::Int(0), Value::Int(99)])]), None);
    }
}
