//! How far a scan of a cluster has come, slot by slot, while slots may be moved.
//!
//! Nodes are scanned one after the other. A slot is done if one node had it when the scan of that node began and when it
//! ended: whatever was in it all the time has been found. What was moved meanwhile is scanned again where it is then, and
//! nothing else is. So a scan goes on during a reshard, and ends.
//!
//! A slot that is being moved has keys at two nodes for as long as that takes, which may be forever if nobody finishes
//! it. Keys go from the source to the target only, so it is done once the source and then the target has been scanned.
//!
//! The slots of a node that was started again while it was scanned are scanned again.

use crate::store::Cursor;
use crate::store::redis::cluster::slot_nodes::SlotNodes;
use crate::store::redis::connection::process_id::ProcessId;
use crate::store::redis::server_address::ServerAddress;

/// How far the scan of one slot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum SlotProgress {
    Done,
    Pending,
    /// One node had all of it when the scan of that node began.
    Scanning,
    /// It was being moved away when the scan of its node began.
    ScanningSource,
    /// It is being moved, and the source is scanned.
    SourceDone,
    /// The same, and the target is being scanned.
    ScanningTarget,
}

/// How far a scan of all slots of interest has come. They are numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::redis) struct ScanPosition {
    slots: Vec<SlotProgress>,
    node: Option<NodeScan>,
}

/// How far the scan of a node has come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NodeScan {
    address: ServerAddress,
    /// The process that gave the cursor. `None`: it does not say.
    process: Option<ProcessId>,
    cursor: u64,
}

impl ScanPosition {
    /// The begin of a scan of so many slots.
    pub(in crate::store::redis) fn begin(count: usize) -> Self {
        Self { slots: vec![SlotProgress::Pending; count], node: None }
    }

    pub(in crate::store::redis) fn is_done(&self) -> bool {
        self.slots.iter().all(|progress| *progress == SlotProgress::Done)
    }

    /// The node that is being scanned. `None`: another one has to be begun with.
    pub(in crate::store::redis) fn node(&self) -> Option<&ServerAddress> {
        self.node.as_ref().map(|node| &node.address)
    }

    /// The cursor of the node.
    pub(in crate::store::redis) fn cursor(&self) -> u64 {
        self.node.as_ref().map(|node| node.cursor).unwrap_or_default()
    }

    /// The slots that no scan of a node has yet.
    pub(in crate::store::redis) fn waiting(&self) -> Vec<usize> {
        self.numbers(|progress| matches!(progress, SlotProgress::Pending | SlotProgress::SourceDone))
    }

    /// The slots that the scan of the node is for.
    pub(in crate::store::redis) fn scanned(&self) -> Vec<usize> {
        self.numbers(SlotProgress::is_being_scanned)
    }

    /// Whether the scan of the node is for this slot.
    pub(in crate::store::redis) fn is_scanned(&self, slot: usize) -> bool {
        self.slots.get(slot).copied().is_some_and(SlotProgress::is_being_scanned)
    }

    fn numbers(&self, is_meant: impl Fn(SlotProgress) -> bool) -> Vec<usize> {
        (0..self.slots.len()).filter(|slot| is_meant(self.slots[*slot])).collect()
    }

    /// Begins to scan the node that has most of the slots that wait.
    pub(in crate::store::redis) fn begin_node(&mut self, waiting: &[(usize, SlotNodes)]) {
        let node_of = |(slot, nodes): &(usize, SlotNodes)| match (self.slots[*slot], &nodes.target) {
            (SlotProgress::SourceDone, Some(target)) => target.clone(),
            _ => nodes.owner.clone(),
        };
        let mut nodes: Vec<ServerAddress> = waiting.iter().map(node_of).collect();
        nodes.sort_unstable();
        let Some(node) = nodes.chunk_by(PartialEq::eq).max_by_key(|same| same.len()).map(|same| same[0].clone()) else {
            return;
        };
        for (slot, nodes) in waiting.iter().filter(|waiting| node_of(waiting) == node).cloned().collect::<Vec<_>>() {
            self.slots[slot] = match (self.slots[slot], nodes.target) {
                (_, None) => SlotProgress::Scanning,
                (SlotProgress::SourceDone, Some(_)) => SlotProgress::ScanningTarget,
                (_, Some(_)) => SlotProgress::ScanningSource,
            };
        }
        self.node = Some(NodeScan { address: node, process: None, cursor: 0 });
    }

    /// Notes which slots the node still has. What it has lost has to be scanned again.
    pub(in crate::store::redis) fn keep(&mut self, has: impl Fn(usize, &ServerAddress) -> bool) {
        let Some(NodeScan { address: node, .. }) = &self.node else { return };
        for (slot, progress) in self.slots.iter_mut().enumerate() {
            if matches!(progress, SlotProgress::Scanning | SlotProgress::ScanningSource) && !has(slot, node) {
                *progress = SlotProgress::Pending;
            }
        }
        if !self.slots.iter().copied().any(SlotProgress::is_being_scanned) {
            self.node = None;
        }
    }

    /// Leaves the node. Its slots have to be scanned again.
    pub(in crate::store::redis) fn leave_node(&mut self) {
        self.node = None;
        for progress in self.slots.iter_mut().filter(|progress| progress.is_being_scanned()) {
            *progress = match progress {
                SlotProgress::ScanningTarget => SlotProgress::SourceDone,
                _ => SlotProgress::Pending,
            };
        }
    }

    /// Goes on to the next cursor of the node. Returns whether it is of the same process as the last one.
    pub(in crate::store::redis) fn advance(&mut self, process: Option<ProcessId>, next: u64) -> bool {
        let Some(node) = &mut self.node else { return false };
        let is_same = node.cursor == 0 || node.process == process;
        (node.process, node.cursor) = (process, next);
        is_same
    }

    /// Ends the scan of the node, with the nodes that have the slots then.
    pub(in crate::store::redis) fn end_node(&mut self, scanned: &[(usize, SlotNodes)]) {
        let Some(NodeScan { address: node, .. }) = self.node.take() else { return };
        for (slot, SlotNodes { owner, target }) in scanned {
            let is_owner = *owner == node;
            self.slots[*slot] = match (self.slots[*slot], target) {
                (SlotProgress::Scanning | SlotProgress::ScanningTarget, None) if is_owner => SlotProgress::Done,
                (SlotProgress::ScanningTarget, Some(target)) if *target == node => SlotProgress::Done,
                (SlotProgress::Scanning | SlotProgress::ScanningSource, Some(_)) if is_owner => {
                    SlotProgress::SourceDone
                }
                _ => SlotProgress::Pending,
            };
        }
    }

    /// Writes the node with its cursor, and how many slots in a row have come as far.
    pub(in crate::store::redis) fn encode(&self) -> Cursor {
        let mut bytes = Vec::new();
        if let Some(NodeScan { address: ServerAddress { host, port }, process, cursor }) = &self.node {
            bytes.push(u8::try_from(host.len()).unwrap_or_default());
            bytes.extend_from_slice(host.as_bytes());
            bytes.extend_from_slice(&port.to_be_bytes());
            bytes.extend_from_slice(&ProcessId::encode(*process));
            bytes.extend_from_slice(&cursor.to_be_bytes());
        } else {
            bytes.push(0);
        }
        for same in self.slots.chunk_by(PartialEq::eq) {
            bytes.push(same[0] as u8);
            bytes.extend_from_slice(&u16::try_from(same.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        Cursor(bytes)
    }

    /// Reads what [`Self::encode()`] has written for so many slots.
    pub(in crate::store::redis) fn decode(cursor: &Cursor, count: usize) -> Option<Self> {
        let (length, rest) = cursor.0.split_first()?;
        let (host, rest) = rest.split_at_checked(usize::from(*length))?;
        let (node, rest) = match std::str::from_utf8(host).ok()? {
            "" => (None, rest),
            host => {
                let (port, rest) = rest.split_first_chunk()?;
                let (process, rest) = rest.split_first_chunk()?;
                let (cursor, rest) = rest.split_first_chunk()?;
                let address = ServerAddress { host: host.to_owned(), port: u16::from_be_bytes(*port) };
                let (process, cursor) = (ProcessId::decode(*process), u64::from_be_bytes(*cursor));
                (Some(NodeScan { address, process, cursor }), rest)
            }
        };
        let (runs, []) = rest.as_chunks::<3>() else { return None };
        let mut slots = Vec::with_capacity(count);
        for [progress, length @ ..] in runs {
            let length = usize::from(u16::from_be_bytes(*length));
            (slots.len() + length <= count).then_some(())?;
            slots.resize(slots.len() + length, SlotProgress::decode(*progress)?);
        }
        (slots.len() == count).then_some(Self { slots, node })
    }
}

impl SlotProgress {
    const fn is_being_scanned(self) -> bool {
        matches!(self, Self::Scanning | Self::ScanningSource | Self::ScanningTarget)
    }

    fn decode(byte: u8) -> Option<Self> {
        use SlotProgress::{Done, Pending, Scanning, ScanningSource, ScanningTarget, SourceDone};
        [Done, Pending, Scanning, ScanningSource, SourceDone, ScanningTarget].into_iter().find(|it| *it as u8 == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> ServerAddress {
        ServerAddress { host: "10.0.0.1".to_owned(), port }
    }

    fn at(owner: u16) -> SlotNodes {
        SlotNodes { owner: address(owner), target: None }
    }

    fn moving(owner: u16, target: u16) -> SlotNodes {
        SlotNodes { target: Some(address(target)), ..at(owner) }
    }

    /// Scans a node. The slots that are waited for are where the first says, and then where the second says.
    fn scan_node(position: &mut ScanPosition, before: &[(usize, SlotNodes)], after: &[(usize, SlotNodes)]) {
        position.begin_node(before);
        position.end_node(after);
    }

    #[test]
    fn only_slots_that_have_moved_are_scanned_again() {
        let mut position = ScanPosition::begin(3);
        scan_node(&mut position, &[(0, at(1)), (1, at(1)), (2, at(2))], &[(0, at(1)), (1, at(2))]);
        assert_eq!(position.waiting(), [1, 2]);

        scan_node(&mut position, &[(1, at(2)), (2, at(2))], &[(1, at(2)), (2, at(2))]);

        assert!(position.is_done());
    }

    #[test]
    fn a_slot_whose_move_is_never_finished_is_scanned_at_its_source_and_then_at_its_target() {
        for begin in [at(1), moving(1, 2)] {
            let mut position = ScanPosition::begin(1);
            scan_node(&mut position, &[(0, begin)], &[(0, moving(1, 2))]);
            assert_eq!(position.waiting(), [0]);

            position.begin_node(&[(0, moving(1, 2))]);
            assert_eq!(position.node(), Some(&address(2)));
            position.end_node(&[(0, moving(1, 2))]);

            assert!(position.is_done());
        }
    }

    #[test]
    fn a_slot_that_came_back_from_an_unfinished_move_is_scanned_again() {
        let mut position = ScanPosition::begin(1);

        scan_node(&mut position, &[(0, moving(1, 2))], &[(0, at(1))]);
        assert_eq!(position.waiting(), [0]);
        scan_node(&mut position, &[(0, moving(1, 2))], &[(0, moving(1, 2))]);
        scan_node(&mut position, &[(0, moving(1, 2))], &[(0, at(1))]);
        assert_eq!(position.waiting(), [0]);
        scan_node(&mut position, &[(0, at(1))], &[(0, at(1))]);

        assert!(position.is_done());
    }

    #[test]
    fn a_node_that_has_lost_all_its_slots_is_left() {
        let mut position = ScanPosition::begin(2);
        position.begin_node(&[(0, at(1)), (1, at(1))]);
        position.advance(None, 7);

        position.keep(|slot, _| slot == 1);
        assert_eq!((position.node(), position.cursor(), position.scanned()), (Some(&address(1)), 7, vec![1]));
        position.keep(|_, _| false);

        assert_eq!((position.node(), position.waiting()), (None, vec![0, 1]));
    }

    #[test]
    fn a_cursor_counts_only_for_the_process_that_gave_it() {
        let [one, other] = [1, 2].map(|byte| ProcessId::decode([byte; 8]));
        let mut position = ScanPosition::begin(1);
        position.begin_node(&[(0, at(1))]);

        assert!(position.advance(one, 7) && position.advance(one, 8));
        assert!(!position.advance(other, 9));
        position.leave_node();
        position.begin_node(&[(0, at(1))]);

        assert!(position.advance(other, 7) && !position.advance(None, 8));
    }

    #[test]
    fn a_cursor_that_was_written_is_read_again() {
        let mut position = ScanPosition::begin(16_384);
        assert_eq!(ScanPosition::decode(&position.encode(), 16_384), Some(position.clone()));
        position.begin_node(&[(3, at(1)), (4, moving(1, 2))]);
        position.advance(ProcessId::decode([1; 8]), u64::MAX);

        assert_eq!(ScanPosition::decode(&position.encode(), 16_384), Some(position.clone()));
        assert_eq!(ScanPosition::decode(&position.encode(), 64), None);
    }
}
