//! The first sessions of an order, out of many that come in no order. Keeps no more than are asked for.

use std::collections::{BTreeMap, HashMap};

use prost::Message as _;

use super::order::{Direction, Order, Rank};
use crate::cli::CliError;
use crate::grpc::wire::SessionInfo;

/// The sessions that are the first ones so far.
pub(super) struct Selection {
    order: Order,
    max_sessions: usize,
    max_bytes: usize,
    bytes: usize,
    sessions: BTreeMap<Rank, SessionInfo>,
    /// By id. A session that is used during the listing may come twice, with another rank.
    ranks: HashMap<String, Rank>,
}

impl Selection {
    pub(super) fn new(order: Order, max_sessions: usize, max_bytes: usize) -> Self {
        Self { order, max_sessions, max_bytes, bytes: 0, sessions: BTreeMap::new(), ranks: HashMap::new() }
    }

    /// Adds a session, and drops the last one if there are too many. Fails if those that are left take too much memory.
    pub(super) fn add(&mut self, session: SessionInfo) -> Result<(), CliError> {
        let rank = self.order.rank(&session);
        if let Some(earlier) = self.ranks.insert(session.id.clone(), rank.clone()) {
            self.remove(&earlier);
        }
        self.bytes += memory_of(&session);
        self.sessions.insert(rank, session);
        if self.sessions.len() > self.max_sessions {
            let last = match self.order.direction {
                Direction::Ascending => self.sessions.last_key_value(),
                Direction::Descending => self.sessions.first_key_value(),
            };
            if let Some(last) = last.map(|(rank, _)| rank.clone()) {
                self.ranks.remove(&last.id);
                self.remove(&last);
            }
        }
        if self.bytes > self.max_bytes { Err(self.too_large()) } else { Ok(()) }
    }

    fn remove(&mut self, rank: &Rank) {
        let removed = self.sessions.remove(rank);
        self.bytes -= removed.as_ref().map_or(0, memory_of);
    }

    /// Returns the sessions in their order.
    pub(super) fn into_sorted(self) -> Vec<SessionInfo> {
        let sessions = self.sessions.into_values();
        match self.order.direction {
            Direction::Ascending => sessions.collect(),
            Direction::Descending => sessions.rev().collect(),
        }
    }

    fn too_large(&self) -> CliError {
        let (count, mebibytes) = (self.sessions.len(), self.max_bytes >> 20);
        let why = format!(
            "{count} sessions are too many to sort in {mebibytes} MiB; choose fewer by --limit or a filter, or leave out \
             --sort or --entries"
        );
        CliError::Failed(why.into())
    }
}

/// About what a session takes in memory, with its ranks.
fn memory_of(session: &SessionInfo) -> usize {
    size_of::<SessionInfo>() + 2 * size_of::<Rank>() + session.encoded_len() + session.entries.len() * ENTRY_BYTES
}

/// The bytes that an entry takes besides its name and its value.
const ENTRY_BYTES: usize = 180;

#[cfg(test)]
mod tests {
    use super::super::super::example;
    use super::super::order::SortField;
    use super::*;

    fn used(id: u8, seconds: i64) -> SessionInfo {
        SessionInfo { id: format!("{id:032x}"), access_time: example::at(seconds), ..example::bare() }
    }

    /// Returns the ids of the selection, shortened.
    fn selected(order: Order, limit: usize, sessions: impl IntoIterator<Item = SessionInfo>) -> Vec<u8> {
        let mut selection = Selection::new(order, limit, usize::MAX);
        for session in sessions {
            selection.add(session).unwrap();
            assert!(selection.sessions.len() <= limit && selection.ranks.len() == selection.sessions.len());
        }
        let sorted = selection.into_sorted();
        sorted.iter().map(|session| u8::from_str_radix(&session.id, 16).unwrap()).collect()
    }

    #[test]
    fn no_more_than_the_limit_are_kept_and_they_are_the_first() {
        let sessions = || (0..200_u8).map(|id| used(id, i64::from(id.wrapping_mul(77))));
        let mut expected: Vec<_> = (0..200_u8).collect();
        expected.sort_by_key(|id| std::cmp::Reverse((id.wrapping_mul(77), *id)));

        let newest = selected(Order::new(SortField::Used, false), 10, sessions());
        let oldest = selected(Order::new(SortField::Used, true), usize::MAX, sessions());

        assert_eq!(newest, expected[..10]);
        assert_eq!(oldest, expected.iter().rev().copied().collect::<Vec<_>>());
    }

    #[test]
    fn a_session_that_comes_twice_is_listed_once_at_its_new_place() {
        let sessions = [used(1, 10), used(2, 20), used(1, 30), used(3, 5)];

        assert_eq!(selected(Order::new(SortField::Used, false), 3, sessions), [1, 2, 3]);
    }

    #[test]
    fn each_field_has_its_order() {
        let (full, bare) = (example::full(), example::bare());
        let first = |field| {
            let mut selection = Selection::new(Order::new(field, false), 1, usize::MAX);
            selection.add(full.clone()).and_then(|()| selection.add(bare.clone())).unwrap();
            selection.into_sorted()[0].id.clone()
        };

        assert_eq!(
            [SortField::Used, SortField::Created, SortField::Subject].map(first),
            [(); 3].map(|()| bare.id.clone())
        );
        assert_eq!([SortField::Expires, SortField::Size].map(first), [(); 2].map(|()| full.id.clone()));
    }

    #[test]
    fn too_many_for_the_memory_are_an_error_that_says_what_to_do() {
        let mut selection = Selection::new(Order::new(SortField::Used, false), usize::MAX, 1 << 20);

        let error = (0..255_u8)
            .cycle()
            .zip(0..10_000)
            .try_for_each(|(_, n)| selection.add(SessionInfo { id: format!("{n:032x}"), ..example::full() }));

        let text = error.unwrap_err().message();
        assert!(text.contains("are too many to sort in 1 MiB; choose fewer by --limit"), "{text}");
    }
}
