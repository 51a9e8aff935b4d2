//! Positions of a sample, and the servers and cursors of SCAN that they stand for.
//!
//! Servers follow one another, each with as large a part of all positions as it has of the partitions. Within a server
//! the cursor decides. SCAN visits the buckets of a hash table so that the cursor with its bits reversed counts up from 0
//! to 2^64, whatever the size of the table. Newer nodes of a cluster have a table for each slot, which they visit in the
//! order of the slots, and the lower 14 bits of the cursor are the slot.

use crate::store::Position;
use crate::store::redis::partitions::Slot;

/// How a server makes its cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Cursors {
    OneTable,
    TableForEachSlot,
}

/// The partitions of each server, and how cursors become positions.
#[derive(Debug)]
pub(in crate::store::redis) struct SampleOrder {
    /// For each server the slots of its partitions, in order.
    servers: Vec<Vec<Slot>>,
    partitions: u64,
}

impl SampleOrder {
    pub(in crate::store::redis) fn new(mut servers: Vec<Vec<Slot>>) -> Self {
        servers.iter_mut().for_each(|slots| slots.sort_unstable());
        let partitions = servers.iter().map(Vec::len).sum::<usize>();
        Self { servers, partitions: u64::try_from(partitions).unwrap_or(u64::MAX).max(1) }
    }

    /// The server of a position; `None` behind the last server.
    pub(in crate::store::redis) fn server(&self, position: Position) -> Option<usize> {
        let (mut before, place) = (0, self.place(position));
        self.servers.iter().position(|slots| {
            before += (slots.len() as u128) << 64;
            place < before
        })
    }

    /// The cursor of a position at its server, which makes its cursors in this way.
    pub(in crate::store::redis) fn cursor(&self, server: usize, position: Position, cursors: Cursors) -> u64 {
        let (slots, within) = (&self.servers[server], self.place(position) - self.before(server));
        match cursors {
            Cursors::OneTable => exact(within / slots.len() as u128).reverse_bits(),
            Cursors::TableForEachSlot => {
                let slot = slots.get(usize::try_from(within >> 64).unwrap_or(usize::MAX));
                let inner = exact(within & u128::from(u64::MAX)).reverse_bits();
                inner << SLOT_BITS | slot.map_or(0, |slot| u64::from(slot.0))
            }
        }
    }

    /// Behind how many partitions a position is, in units of 2^-64.
    fn place(&self, position: Position) -> u128 {
        u128::from(position.0) * u128::from(self.partitions)
    }

    /// How many partitions there are at the servers before this one, in the same units.
    fn before(&self, server: usize) -> u128 {
        self.servers[..server].iter().map(|slots| slots.len() as u128).sum::<u128>() << 64
    }

    /// The position of a cursor that a server has answered; `None` if there are no more sessions.
    pub(in crate::store::redis) fn position(&self, server: usize, cursor: u64, cursors: Cursors) -> Option<Position> {
        let slots = self.servers.get(server)?;
        let count = slots.len() as u128;
        let within = match (cursor, cursors) {
            (0, _) => count << 64,
            (_, Cursors::OneTable) => u128::from(cursor.reverse_bits()) * count,
            (_, Cursors::TableForEachSlot) => {
                let slot = Slot(u16::try_from(cursor % u64::from(Slot::COUNT)).unwrap_or_default());
                let inner = u128::from((cursor >> SLOT_BITS).reverse_bits());
                match slots.binary_search(&slot) {
                    Ok(index) => ((index as u128) << 64) + inner,
                    // A slot without sessions.
                    Err(index) => (index as u128) << 64,
                }
            }
        };
        u64::try_from((self.before(server) + within) / u128::from(self.partitions)).ok().map(Position)
    }
}

/// Restores the digits that the division by the number of partitions has cut off.
///
/// The reversed cursor of a table of 2^n buckets is a multiple of 2^(64 - n).
fn exact(reversed: u128) -> u64 {
    u64::try_from(reversed.next_multiple_of(LOST)).unwrap_or_default()
}

const LOST: u128 = 1 << 16;

const SLOT_BITS: u32 = Slot::COUNT.trailing_zeros();

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> SampleOrder {
        let slots = |range: std::ops::Range<u16>| range.map(|partition| Slot(partition * 16 + 3)).collect();
        SampleOrder::new(vec![slots(0..341), Vec::new(), slots(341..682), slots(682..1024)])
    }

    #[test]
    fn a_cursor_comes_back_from_its_position() {
        for (server, slot) in [(0, 3), (2, 341 * 16 + 3), (3, 1023 * 16 + 3)] {
            for inner in [1_u64, 5, 0x3ff, 0xffff_ffff] {
                let order = order();
                for (cursors, cursor) in [(Cursors::OneTable, inner), (Cursors::TableForEachSlot, inner << 14 | slot)] {
                    let position = order.position(server, cursor, cursors).unwrap();
                    assert_eq!(order.server(position), Some(server));
                    assert_eq!(order.cursor(server, position, cursors), cursor);
                }
            }
        }
    }

    #[test]
    fn each_server_has_the_positions_of_its_partitions() {
        let order = order();

        let ends = [0, 1, 2].map(|server| order.position(server, 0, Cursors::OneTable).unwrap().0);

        assert_eq!(ends, [341 << 54, 341 << 54, 682 << 54]);
        assert_eq!(order.position(3, 0, Cursors::OneTable), None);
        let second = Position(341 << 54);
        assert_eq!((order.server(second), order.cursor(2, second, Cursors::OneTable)), (Some(2), 0));
    }

    #[test]
    fn a_slot_without_sessions_leads_to_the_next_one_with_some() {
        let (order, cursors) = (order(), Cursors::TableForEachSlot);

        let position = order.position(0, 7 << 14 | 20, cursors).unwrap();

        assert_eq!((order.server(position), order.cursor(0, position, cursors)), (Some(0), 35));
    }
}
