//! Samples of both stores.
//!
//! Each store is sampled up to about the same position. A position here is that of the store that is behind, and then
//! that of the other one.

use std::collections::{BTreeMap, BTreeSet};

use super::{AuthoritativeStore, InOld, MoveMark, Moving, Side, lacks_last_step, mark_of, without_mark};
use crate::store::{Error, Position, Sample, SampledKeys, SessionKey, Snapshot};
use crate::types::AppName;

impl Sample for Moving {
    async fn sample_keys(&self, apps: &BTreeSet<AppName>, from: Position, limit: usize) -> Result<SampledKeys, Error> {
        let Positions { old, new } = Positions::parse(from);
        let (side, begin) = if old <= new { (&self.old, old) } else { (&self.new, new) };
        let SampledKeys { session_keys, next, skipped } =
            side.sample_keys(apps, Position(begin << UNIT_BITS), limit).await?;
        let end = next.map_or(END, |next| (next.0 >> UNIT_BITS).max(begin + 1));
        let positions = if old <= new { Positions { old: end, new } } else { Positions { old, new: end } };
        let session_keys = without_marks(side, session_keys).await?;
        // The other store skips as many positions, or none: on average half of them.
        let skipped: BTreeMap<_, _> = skipped.into_iter().map(|(app, positions)| (app, positions / 2)).collect();
        Ok(SampledKeys { session_keys, next: positions.to_position(), skipped })
    }

    async fn sample_heads(&self, session_keys: &[SessionKey]) -> Result<Vec<Option<Snapshot>>, Error> {
        let of_old = self.old.sample_heads(session_keys).await?;
        let of_new = self.new.sample_heads(session_keys).await?;
        let arrived = |copy: Snapshot| Some(Snapshot { record: without_mark(&copy.record), ..copy });
        let choose = |(old, new): (Option<Snapshot>, Option<Snapshot>)| {
            if lacks_last_step(old.as_ref(), new.as_ref()) {
                return old.and_then(arrived);
            }
            match (AuthoritativeStore::of(old), new) {
                (AuthoritativeStore::Old(snapshot), _) => Some(*snapshot),
                (AuthoritativeStore::New(in_old), Some(new)) => match (mark_of(&new.record), in_old) {
                    (None, _) => Some(new),
                    (Some(MoveMark::Arriving), InOld::Moved) => arrived(new),
                    (Some(_), _) => None,
                },
                (AuthoritativeStore::New(_), None) => None,
            }
        };
        Ok(of_old.into_iter().zip(of_new).map(choose).collect())
    }
}

/// Leaves out records that are only marks.
async fn without_marks(side: &Side, session_keys: Vec<SessionKey>) -> Result<Vec<SessionKey>, Error> {
    let heads = side.sample_heads(&session_keys).await?;
    let is_mark = |head: Option<Snapshot>| head.is_some_and(|snapshot| mark_of(&snapshot.record).is_some());
    Ok(session_keys.into_iter().zip(heads).filter_map(|(key, head)| (!is_mark(head)).then_some(key)).collect())
}

/// The positions up to which the stores were sampled, in units of 2^-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Positions {
    old: u64,
    new: u64,
}

impl Positions {
    /// Reads the 32 bits of the store that is behind, a bit that says which one it is, and 31 of the other one.
    ///
    /// Redis has a bucket at each position, and there are few enough for 31 bits: so no bucket is read twice.
    fn parse(Position(bits): Position) -> Self {
        let (behind, ahead) = (bits >> UNIT_BITS, bits & AHEAD);
        let ahead = if ahead == AHEAD { END } else { (ahead << 1).max(behind) };
        if bits & OLD_IS_AHEAD == 0 { Self { old: behind, new: ahead } } else { Self { old: ahead, new: behind } }
    }

    /// Returns the position; `None` at the end of both stores.
    fn to_position(self) -> Option<Position> {
        let Self { old, new } = self;
        let behind = old.min(new);
        let is_ahead = if old > new { OLD_IS_AHEAD } else { 0 };
        (behind < END).then(|| Position((behind << UNIT_BITS) | is_ahead | (old.max(new) >> 1).min(AHEAD)))
    }
}

const UNIT_BITS: u32 = 32;
const END: u64 = 1 << UNIT_BITS;
const OLD_IS_AHEAD: u64 = 1 << 31;
const AHEAD: u64 = OLD_IS_AHEAD - 1;
