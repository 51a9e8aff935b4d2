//! The partitions of an app, and the slots of a Redis Cluster that they are in.
//!
//! A partition's tag stands in its keys, in braces, and alone decides their slot. 64 partitions have the tags `00` to
//! `63`. 1,024 have tags that divide the slots evenly: partition p is in one of the slots 16p to 16p + 15, so that nodes
//! with as many slots have as many sessions.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::token::SessionId;

/// How many partitions each app has. Keys depend on it, so it never changes for a key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum PartitionCount {
    /// Enough for a single primary, and for a cluster of a few nodes.
    P64,
    /// Spreads sessions evenly over up to 200 nodes.
    P1024,
}

impl PartitionCount {
    pub(super) const ALL: [Self; 2] = [Self::P64, Self::P1024];
}

impl TryFrom<u16> for PartitionCount {
    type Error = &'static str;

    fn try_from(count: u16) -> Result<Self, Self::Error> {
        match count {
            64 => Ok(Self::P64),
            1024 => Ok(Self::P1024),
            _ => Err("it has to be 64 or 1024"),
        }
    }
}

impl From<PartitionCount> for u16 {
    fn from(count: PartitionCount) -> Self {
        match count {
            PartitionCount::P64 => 64,
            PartitionCount::P1024 => 1024,
        }
    }
}

/// The key of the layout marker, which says how many partitions the apps of a key space have.
pub(super) fn marker_key(prefix: &str) -> String {
    format!("{prefix}:layout")
}

/// One partition of each app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition(u16);

impl Partition {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A slot of a Redis Cluster, to which a hash of a key's tag leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u16);

impl Slot {
    pub(super) const COUNT: u16 = 16_384;

    /// The slot of all keys with this tag.
    pub(super) fn of_tag(tag: &[u8]) -> Self {
        Self(crc16(tag) % Self::COUNT)
    }
}

/// The tags and slots of all partitions.
#[derive(Debug)]
pub(super) struct Partitions {
    count: PartitionCount,
    /// How far the first 16 bits of an id are shifted to get its partition.
    shift: u32,
    tags: Vec<Box<[u8]>>,
    slots: Vec<Slot>,
    slots_in_order: Vec<(Slot, Box<[u8]>)>,
}

impl Partitions {
    pub(super) fn new(count: PartitionCount) -> Self {
        let tags: Vec<Box<[u8]>> = match count {
            PartitionCount::P64 => (0..64).map(|partition| format!("{partition:02}").into_bytes().into()).collect(),
            PartitionCount::P1024 => aligned_tags(1024),
        };
        let slots: Vec<Slot> = tags.iter().map(|tag| Slot::of_tag(tag)).collect();
        let mut slots_in_order: Vec<_> = slots.iter().copied().zip(tags.iter().cloned()).collect();
        slots_in_order.sort_unstable();
        Self { count, shift: 16 - u16::from(count).trailing_zeros(), tags, slots, slots_in_order }
    }

    pub(super) fn count(&self) -> u16 {
        self.count.into()
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = Partition> + use<> {
        (0..self.count()).map(Partition)
    }

    /// The partition of a session: the first bits of its id.
    pub(super) fn of(&self, id: &SessionId) -> Partition {
        let [first, second, ..] = *id.as_bytes();
        Partition(u16::from_be_bytes([first, second]) >> self.shift)
    }

    pub(super) fn tag(&self, partition: Partition) -> &[u8] {
        &self.tags[partition.index()]
    }

    /// The slots of all partitions, in order, each with the tag.
    pub(super) fn slots_in_order(&self) -> &[(Slot, Box<[u8]>)] {
        &self.slots_in_order
    }

    pub(super) fn slot(&self, partition: Partition) -> Slot {
        self.slots[partition.index()]
    }
}

/// All slots there are, in order, each with a tag that leads to it.
pub(super) fn all_slots() -> &'static [(Slot, Box<[u8]>)] {
    static ALL: LazyLock<Vec<(Slot, Box<[u8]>)>> =
        LazyLock::new(|| (0..).map(Slot).zip(aligned_tags(Slot::COUNT)).collect());
    &ALL
}

/// Finds, for each of equal ranges of the slots, the shortest decimal number that is a tag of one of its slots.
fn aligned_tags(ranges: u16) -> Vec<Box<[u8]>> {
    let width = Slot::COUNT / ranges;
    let mut tags = vec![Box::<[u8]>::default(); usize::from(ranges)];
    let mut missing = tags.len();
    let mut number = 0_u32;
    while missing > 0 {
        let tag = number.to_string().into_bytes();
        let range = &mut tags[usize::from(Slot::of_tag(&tag).0 / width)];
        if range.is_empty() {
            *range = tag.into();
            missing -= 1;
        }
        number += 1;
    }
    tags
}

/// CRC-16/XMODEM, as the specification of Redis Cluster demands.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| (crc << 1) ^ (if crc & 0x8000 == 0 { 0 } else { 0x1021 }))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(Slot::of_tag(b"foo"), Slot(12_182));
    }

    #[test]
    fn each_of_1024_partitions_is_in_its_share_of_the_slots() {
        let partitions = Partitions::new(PartitionCount::P1024);

        for partition in partitions.all() {
            assert_eq!(partitions.slot(partition).0 / 16, partition.0);
            assert!(partitions.tag(partition).len() <= 4);
        }
        // Tags are a part of keys: they must never change.
        assert_eq!((partitions.tag(Partition(0)), partitions.tag(Partition(1023))), (&b"460"[..], &b"430"[..]));
    }

    #[test]
    fn each_slot_has_a_tag_that_leads_to_it() {
        assert_eq!(all_slots().len(), usize::from(Slot::COUNT));
        assert!(
            all_slots()
                .iter()
                .enumerate()
                .all(|(n, (slot, tag))| usize::from(slot.0) == n && Slot::of_tag(tag) == *slot)
        );
    }

    #[test]
    fn the_first_bits_of_an_id_are_its_partition() {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&0b1010_0101_1100_0000_u16.to_be_bytes());
        let id = SessionId::from_bytes(id);

        assert_eq!(Partitions::new(PartitionCount::P64).of(&id), Partition(0b10_1001));
        assert_eq!(Partitions::new(PartitionCount::P1024).of(&id), Partition(0b10_1001_0111));
    }

    #[test]
    fn tags_and_slots_of_64_partitions_are_distinct() {
        let partitions = Partitions::new(PartitionCount::P64);

        let slots: HashSet<Slot> = partitions.all().map(|partition| partitions.slot(partition)).collect();

        assert_eq!(slots.len(), 64);
        assert_eq!(partitions.tag(Partition(7)), b"07");
    }
}
