//! The ids of the nodes of a cluster. They tell it from another cluster, which may get the addresses of its nodes.
//!
//! A node keeps its id for as long as it belongs to a cluster, whatever its address is.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;

/// The ids of some nodes of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeIds(BTreeSet<String>);

impl NodeIds {
    /// Reads those of the primaries and replicas in an answer to CLUSTER SLOTS.
    pub(super) fn read(slots: &Value) -> Self {
        // First and last slot come before the nodes.
        let nodes = items(slots).iter().flat_map(|range| items(range).iter().skip(2));
        Self(nodes.filter_map(|node| node_id(items(node))).collect())
    }

    /// Whether one of these nodes is one of those as well, so that all of them are of one cluster.
    pub(super) fn share_any_with(&self, others: &Self) -> bool {
        !self.0.is_disjoint(&others.0)
    }

    /// Adds the nodes that others know.
    pub(super) fn add(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }
}

/// The ids of the nodes that one cluster has and had: a node that was not there at the last look may take over.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownNodes {
    /// Each id with the number of the last look that found it.
    looks: BTreeMap<String, u64>,
    last_look: u64,
}

impl KnownNodes {
    /// Whether nobody knows yet which cluster it is.
    pub(super) fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// Whether one of these nodes is known, so that all of them are of the cluster.
    pub(super) fn include_any_of(&self, ids: &NodeIds) -> bool {
        ids.0.iter().any(|id| self.looks.contains_key(id))
    }

    /// Returns them with the nodes that another look has found. Of those that it has not found, the oldest are forgotten.
    pub(super) fn after(&self, found: NodeIds) -> Self {
        let look = self.last_look + 1;
        let mut gone: Vec<_> = self.looks.iter().filter(|(id, _)| !found.0.contains(*id)).collect();
        gone.sort_unstable_by_key(|(_, last)| u64::MAX - **last);
        let gone = gone.into_iter().take(MAX_GONE).map(|(id, last)| (id.clone(), *last)).collect::<Vec<_>>();
        Self { looks: found.0.into_iter().map(|id| (id, look)).chain(gone).collect(), last_look: look }
    }
}

/// Returns the id of a node in an answer to CLUSTER SLOTS: host, port and id. Without an id, its address stands for it.
pub(super) fn node_id(node: &[Value]) -> Option<String> {
    match node {
        [_, _, Value::BulkString(id), ..] => Some(String::from_utf8_lossy(id).into_owned()),
        [Value::BulkString(host), Value::Int(port), ..] => Some(format!("{}:{port}", String::from_utf8_lossy(host))),
        _ => None,
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// How many nodes are remembered that are not in the cluster any more, as far as is known.
const MAX_GONE: usize = 64;

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    /// Reads the ids of an answer that has a range for each of these lists of nodes.
    fn ids(ranges: &[&[&str]]) -> NodeIds {
        let node = |id: &&str| format!("*3\r\n$8\r\n10.0.0.1\r\n:7000\r\n${}\r\n{id}\r\n", id.len());
        let range = |nodes: &&[&str]| {
            format!("*{}\r\n:0\r\n:99\r\n{}", nodes.len() + 2, nodes.iter().map(node).collect::<String>())
        };
        let answer = format!("*{}\r\n{}", ranges.len(), ranges.iter().map(range).collect::<String>());
        NodeIds::read(&parse_redis_value(answer.as_bytes()).unwrap())
    }

    #[test]
    fn clusters_are_told_apart_by_the_ids_of_their_primaries_and_replicas_at_the_same_address() {
        let before = ids(&[&["a", "a-replica"], &["b"]]);

        assert!(ids(&[&["a-replica", "c"]]).share_any_with(&before), "the replica has taken over");
        assert!(!ids(&[&["x", "y"], &["z"]]).share_any_with(&before), "no node is known");
        assert!(!ids(&[]).share_any_with(&before), "there is no node at all");
    }

    #[test]
    fn nodes_that_earlier_looks_found_are_known_until_many_others_have_followed_them() {
        let names: Vec<String> = (0..=MAX_GONE + 1).map(|number| format!("node-{number}")).collect();
        let knows = |known: &KnownNodes, name: &str| known.include_any_of(&ids(&[&[name]]));

        let mut known = KnownNodes::default().after(ids(&[&["a", "a-replica"]])).after(ids(&[&["a"]]));
        assert!(knows(&known, "a-replica"), "it may take over");
        for name in &names {
            known = known.after(ids(&[&["a", name]]));
        }

        assert!(!knows(&known, "a-replica"), "it was there before all others");
        assert!(!knows(&known, &names[0]), "it was the next");
        assert!(names[1..].iter().all(|name| knows(&known, name)) && knows(&known, "a"));
        assert!(!knows(&known, "other") && !known.include_any_of(&ids(&[])));
    }

    #[test]
    fn the_address_stands_for_an_id_that_is_not_told() {
        let host = || Value::BulkString(b"10.0.0.1".to_vec());

        assert_eq!(node_id(&[host(), Value::Int(7000)]).as_deref(), Some("10.0.0.1:7000"));
        assert_eq!(node_id(&[host(), Value::Int(7000), Value::BulkString(b"id".to_vec())]).as_deref(), Some("id"));
        assert_eq!(node_id(&[host()]), None);
    }
}
