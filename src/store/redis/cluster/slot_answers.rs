//! The answers of nodes about the slots of a cluster, and which of them counts.

use std::cmp::Reverse;

use super::slots::SlotRanges;
use crate::store::redis::failure::Failure;
use crate::store::redis::node_ids::NodeIds;
use crate::store::redis::server_address::ServerAddress;

/// The answer of one node.
#[derive(Debug)]
pub(in crate::store::redis) struct SlotAnswer {
    pub(in crate::store::redis) node: ServerAddress,
    pub(in crate::store::redis) ranges: SlotRanges,
    /// The nodes that it knows.
    pub(in crate::store::redis) ids: NodeIds,
}

/// The answers of several nodes.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct SlotAnswers {
    /// All nodes that were asked.
    pub(in crate::store::redis) asked: Vec<ServerAddress>,
    pub(in crate::store::redis) answers: Vec<SlotAnswer>,
    /// Why one has not answered.
    pub(in crate::store::redis) failure: Option<Failure>,
}

impl SlotAnswers {
    /// Whether most of the nodes that were asked agree.
    pub(in crate::store::redis) fn is_settled(&self) -> bool {
        self.answers.iter().any(|answer| 2 * self.votes(&answer.ranges) > self.asked.len())
    }

    /// Takes out the answer that counts: what most say, and of what equally many say, what is in the table now.
    ///
    /// Between others it is always the same one, so that the table does not change with each look. Nodes that agree and
    /// call a node by different addresses decide about the address in the same way.
    pub(in crate::store::redis) fn take_chosen(&mut self, current: &SlotRanges) -> Option<SlotAnswer> {
        let rank = |ranges: &SlotRanges| {
            let same = self.answers.iter().filter(|answer| answer.ranges == *ranges).count();
            (self.votes(ranges), ranges.agree_with(current), same, ranges == current)
        };
        let numbered = self.answers.iter().enumerate();
        let (index, _) = numbered.max_by_key(|(_, answer)| (rank(&answer.ranges), Reverse(&answer.ranges)))?;
        Some(self.answers.swap_remove(index))
    }

    /// Leaves out the answers of other clusters than that of most nodes that were asked. Returns whether there is one.
    pub(in crate::store::redis) fn keep_cluster_of_most(&mut self) -> bool {
        let count = |ids: &NodeIds| self.answers.iter().filter(|answer| answer.ids.share_any_with(ids)).count();
        let is_of_most = |answer: &&SlotAnswer| 2 * count(&answer.ids) > self.asked.len();
        let Some(ids) = self.answers.iter().find(is_of_most).map(|answer| answer.ids.clone()) else { return false };
        self.answers.retain(|answer| answer.ids.share_any_with(&ids));
        true
    }

    /// The nodes that this answer names, and those that the others of its cluster name.
    pub(in crate::store::redis) fn ids_of_cluster(&self, answer: &SlotAnswer) -> NodeIds {
        let mut ids = answer.ids.clone();
        let others = self.answers.iter().filter(|other| other.ids.share_any_with(&answer.ids));
        others.for_each(|other| ids.add(&other.ids));
        ids
    }

    fn votes(&self, ranges: &SlotRanges) -> usize {
        self.answers.iter().filter(|answer| answer.ranges.agree_with(ranges)).count()
    }
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    /// The id and the port of the node that has all slots, as another node says it.
    type Primary = (&'static str, u16);

    /// Builds the answer that all slots are at the node with this id, at this port.
    fn ranges(id: &str, port: u16) -> SlotRanges {
        let text = format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$8\r\n10.0.0.1\r\n:{port}\r\n${}\r\n{id}\r\n", id.len());
        SlotRanges::parse(parse_redis_value(text.as_bytes()).unwrap(), &address(1)).unwrap()
    }

    fn address(port: u16) -> ServerAddress {
        ServerAddress { host: "10.0.0.9".to_owned(), port }
    }

    /// Builds the ids that are told by an answer in which the first node has all slots.
    fn ids(ids: &[&str]) -> NodeIds {
        let node = |id: &&str| format!("*3\r\n$8\r\n10.0.0.1\r\n:1\r\n${}\r\n{id}\r\n", id.len());
        let nodes: String = ids.iter().map(node).collect();
        let text = format!("*1\r\n*{}\r\n:0\r\n:16383\r\n{nodes}", ids.len() + 2);
        NodeIds::read(&parse_redis_value(text.as_bytes()).unwrap())
    }

    fn answers(said: &[Primary], asked: u16) -> SlotAnswers {
        let answer = |(id, port): &Primary| SlotAnswer {
            node: address(*port),
            ranges: ranges(id, *port),
            ids: NodeIds::default(),
        };
        let asked = (0..asked).map(address).collect();
        SlotAnswers { asked, answers: said.iter().map(answer).collect(), failure: None }
    }

    #[test]
    fn most_of_those_that_were_asked_have_to_agree_or_others_are_asked_as_well() {
        assert!(answers(&[("a", 1), ("a", 1)], 3).is_settled());
        assert!(answers(&[("a", 1), ("b", 2), ("a", 2)], 3).is_settled(), "they call one node by two addresses");
        assert!(!answers(&[("a", 1)], 2).is_settled(), "one of two has said nothing");
        assert!(!answers(&[("a", 1), ("b", 2)], 2).is_settled(), "they contradict each other");
        assert!(!answers(&[], 1).is_settled());
    }

    #[test]
    fn most_of_those_that_were_asked_tell_which_cluster_it_is_even_if_they_do_not_agree() {
        let mut all = answers(&[("other", 1), ("a", 2), ("b", 3)], 4);
        all.answers[0].ids = ids(&["other"]);
        all.answers[1].ids = ids(&["a", "b"]);
        all.answers[2].ids = ids(&["b", "c"]);
        assert!(!all.keep_cluster_of_most(), "two of four are of one cluster");

        all.asked.pop();
        assert!(all.keep_cluster_of_most());
        let nodes: Vec<u16> = all.answers.iter().map(|answer| answer.node.port).collect();
        assert_eq!(nodes, [2, 3]);
        assert_eq!(all.ids_of_cluster(&all.answers[0]), ids(&["a", "b", "c"]));
    }

    #[test]
    fn most_decide_and_without_them_the_table_stays() {
        // What nodes say, what is in the table, and what counts.
        let table: [(&[Primary], Primary, Primary); 7] = [
            (&[("b", 2), ("a", 1), ("b", 2)], ("a", 1), ("b", 2)),
            (&[("b", 2), ("a", 1)], ("a", 1), ("a", 1)),
            (&[("a", 1), ("b", 2)], ("a", 1), ("a", 1)),
            // The table has neither.
            (&[("b", 2), ("c", 3)], ("a", 1), ("b", 2)),
            (&[("c", 3), ("b", 2)], ("a", 1), ("b", 2)),
            // The node is the same, and its address another one.
            (&[("a", 4), ("a", 1), ("b", 2)], ("a", 1), ("a", 1)),
            (&[("a", 4), ("a", 1), ("a", 4), ("b", 2)], ("a", 1), ("a", 4)),
        ];
        for (said, (id, port), (expected, at)) in table {
            let chosen = answers(said, 5).take_chosen(&ranges(id, port)).map(|answer| answer.ranges);
            assert_eq!(chosen, Some(ranges(expected, at)), "{said:?}");
        }
        assert!(answers(&[], 1).take_chosen(&ranges("a", 1)).is_none());
    }
}
