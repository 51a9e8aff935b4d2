//! The ids of the nodes of a cluster. They tell it from another cluster, which may get the addresses of its nodes.
//!
//! A node keeps its id for as long as it belongs to a cluster, whatever its address is.

use std::collections::BTreeSet;

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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of these nodes is one of those as well, so that all of them are of one cluster.
    pub(super) fn share_any_with(&self, others: &Self) -> bool {
        !self.0.is_disjoint(&others.0)
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
    fn the_address_stands_for_an_id_that_is_not_told() {
        let host = || Value::BulkString(b"10.0.0.1".to_vec());

        assert_eq!(node_id(&[host(), Value::Int(7000)]).as_deref(), Some("10.0.0.1:7000"));
        assert_eq!(node_id(&[host(), Value::Int(7000), Value::BulkString(b"id".to_vec())]).as_deref(), Some("id"));
        assert_eq!(node_id(&[host()]), None);
    }
}
