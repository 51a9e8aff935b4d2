//! Two stores as one, while sessions move from the old one to the new one.
//!
//! The old store is authoritative for a session as long as it has a record of it. A session moves in three steps, each
//! of which is done only if what was read before it is still there:
//!
//! 1. The new store gets a copy that is marked [`EndReason::Arriving`]. Nobody can open or change it.
//! 2. In the old store, a mark [`EndReason::Moved`] takes the place of the session. From here on the new store is
//!    authoritative. A write or an end that came first lets this step fail, and the move begins again.
//! 3. The copy loses its mark. An operation that finds the session between the steps does this, too.
//!
//! So a move that stops between two steps loses nothing. A copy whose session never moved is never used: the old store
//! has no mark for it, and it is deleted when the session would have expired at the latest.
//!
//! The direction may turn round before an earlier move has finished. Then the old store may have a copy whose session has
//! a mark in the new one. The next operation that finds it does the last step of that move: the copy loses its mark.
//!
//! Marks stay in here. No caller sees a record that has one.

mod cursor;
mod export;
mod feed;
mod index;
mod mover;
mod operations;
mod sample;
mod side;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

pub use self::mover::{MoveMode, MoveReport, Mover, SkipReason};
pub(super) use self::side::Side;
use super::replace::RecordReplacement;
use super::settings::{Settings, SideSettings};
use super::{Error, OpenError, SessionKey, Snapshot};
use crate::session::{End, EndReason, Head, Record};
use crate::token::VerifierHash;
use crate::types::{AppName, Time};

/// Two stores, between which sessions move.
#[derive(Debug)]
pub struct Moving {
    old: Side,
    new: Side,
    creates_in: CreatesIn,
    /// The apps whose revocations the new store has.
    revocations_known: Mutex<BTreeSet<AppName>>,
    /// Set once it is known that they are not the same store by two names.
    are_different: OnceLock<()>,
}

/// Where new sessions are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CreatesIn {
    /// Other replicas may not know the new store yet.
    Old,
    New,
}

/// The mark of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MoveMark {
    Moved,
    Arriving,
}

impl Moving {
    /// Opens the store and its `next` or `previous` one; `None` if there is neither.
    pub fn open(settings: &Settings) -> Result<Option<Self>, OpenError> {
        let own = SideSettings::of(settings);
        let (old, new, creates_in) = match (&settings.next, &settings.previous) {
            (None, None) => return Ok(None),
            (Some(next), _) => (&own, next, CreatesIn::Old),
            (None, Some(previous)) => (previous, &own, CreatesIn::New),
        };
        let (old, new) = (Side::open(old)?, Side::open(new)?);
        Ok(Some(Self { old, new, creates_in, revocations_known: Mutex::default(), are_different: OnceLock::new() }))
    }

    /// Whether sessions may be moved: every replica creates them in the new store, or knows it.
    pub fn creates_in_new(&self) -> bool {
        self.creates_in == CreatesIn::New
    }

    /// The one of the two stores that the settings of `[store]` itself name.
    pub(super) const fn own(&self) -> &Side {
        match self.creates_in {
            CreatesIn::Old => &self.old,
            CreatesIn::New => &self.new,
        }
    }

    /// The other one.
    pub(super) const fn other(&self) -> &Side {
        match self.creates_in {
            CreatesIn::Old => &self.new,
            CreatesIn::New => &self.old,
        }
    }

    /// The stores that are in Redis, that of `[store]` first.
    pub(super) fn redis(&self) -> impl Iterator<Item = &Arc<super::Redis>> {
        [self.own(), self.other()].into_iter().filter_map(Side::redis)
    }

    /// Fails if both are the same keys of the same Redis: nothing would move, and the settings may name them differently.
    async fn check_places(&self) -> Result<(), Error> {
        if self.are_different.get().is_some() {
            return Ok(());
        }
        if let (Some(own), Some(other)) = (self.own().redis(), self.other().redis()) {
            own.check_is_elsewhere(other).await?;
        }
        // Another check may have found the same meanwhile.
        let _ = self.are_different.set(());
        Ok(())
    }

    /// Loads what the old store has. The last step of an earlier move in the other direction is done, if it is missing.
    async fn load_from_old(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.old.load(session_key).await?;
            let Some(copy) = found.as_ref().filter(|found| mark_of(&found.record) == Some(MoveMark::Arriving)) else {
                return Ok(found);
            };
            if !has_mark(self.new.load(session_key).await?.as_ref(), MoveMark::Moved) {
                return Ok(found);
            }
            let record = without_mark(&copy.record);
            if self.old.replace(session_key, Some(copy), RecordReplacement::Record(record.clone())).await? {
                return Ok(Some(Snapshot { record, generation: copy.generation }));
            }
        }
        Err(changes_again_and_again())
    }

    /// Loads a session from the new store. One that has arrived loses its mark.
    async fn load_from_new(&self, session_key: &SessionKey, in_old: InOld) -> Result<Option<Snapshot>, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(found) = self.new.load(session_key).await? else { return Ok(None) };
            match (mark_of(&found.record), in_old) {
                (None, _) => return Ok(Some(found)),
                // Left by an earlier move in the other direction, or the copy of a session that the old store deleted.
                (Some(MoveMark::Moved), _) | (Some(MoveMark::Arriving), InOld::Nothing) => return Ok(None),
                (Some(MoveMark::Arriving), InOld::Moved) => {
                    let record = without_mark(&found.record);
                    if self.new.replace(session_key, Some(&found), RecordReplacement::Record(record.clone())).await? {
                        return Ok(Some(Snapshot { record, ..found }));
                    }
                }
            }
        }
        Err(changes_again_and_again())
    }
}

/// The content of the old store in place of a session that it is not authoritative for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InOld {
    /// Nothing, or a mark of an earlier move in the other direction.
    Nothing,
    Moved,
}

/// The store that is authoritative for a session.
#[derive(Debug)]
enum AuthoritativeStore {
    Old(Box<Snapshot>),
    New(InOld),
}

impl AuthoritativeStore {
    /// Decides it by what the old store has.
    fn of(in_old: Option<Snapshot>) -> Self {
        match in_old {
            None => Self::New(InOld::Nothing),
            Some(snapshot) => match mark_of(&snapshot.record) {
                None => Self::Old(Box::new(snapshot)),
                Some(MoveMark::Moved) => Self::New(InOld::Moved),
                Some(MoveMark::Arriving) => Self::New(InOld::Nothing),
            },
        }
    }
}

/// The mark of a record, if it has one.
fn mark_of(record: &Record) -> Option<MoveMark> {
    match record.head.end?.reason {
        EndReason::Moved => Some(MoveMark::Moved),
        EndReason::Arriving => Some(MoveMark::Arriving),
        EndReason::Destroyed
        | EndReason::Emptied
        | EndReason::Revoked
        | EndReason::Superseded
        | EndReason::Idle
        | EndReason::Absolute
        | EndReason::Evicted => None,
    }
}

fn has_mark(found: Option<&Snapshot>, mark: MoveMark) -> bool {
    found.is_some_and(|found| mark_of(&found.record) == Some(mark))
}

/// Whether a move in the other direction did not finish: what the old store has is a copy, and its session has moved.
fn lacks_last_step(in_old: Option<&Snapshot>, in_new: Option<&Snapshot>) -> bool {
    has_mark(in_old, MoveMark::Arriving) && has_mark(in_new, MoveMark::Moved)
}

/// The record as it arrives in the new store. It stays as long as the record itself would.
fn arriving(mut record: Record) -> Record {
    let time = record.head.expire_time(record.head.access_time);
    record.head.end = Some(End { reason: EndReason::Arriving, time });
    record
}

fn without_mark(record: &Record) -> Record {
    let mut record = record.clone();
    record.head.end = None;
    record
}

/// Returns the replacement of a record in the old store.
///
/// It stays as long as the record would, and as long as a replica may run that still creates sessions in the old store:
/// one of the same id, such as an external one, must not be created there again.
fn moved(record: &Record) -> Record {
    let Head { create_time, access_time, deadline_time, .. } = record.head;
    let until = deadline_time.max(access_time + MARK_TTL).max(record.head.purge_time());
    let mut head = Head::new(VerifierHash::from_bytes([0; 16]), create_time, Duration::ZERO, Duration::ZERO);
    head.end = Some(End { reason: EndReason::Moved, time: until });
    Record { head, entries: crate::session::Entries::default() }
}

fn changes_again_and_again() -> Error {
    Error::unavailable("a session changes again and again while it is moved")
}

/// Whether this time is so long after the other that a copy that was read then must not be written any more.
fn is_outdated(read: Time, now: Time) -> bool {
    now.since(read) >= MAX_MOVE
}

/// How often a session that others write meanwhile is tried.
const MAX_ATTEMPTS: usize = 100;

/// The longest time from the reading of a session to the writing of its copy: far less than ended sessions are kept.
const MAX_MOVE: Duration = Duration::from_secs(60);

/// How long a mark stays at least.
const MARK_TTL: Duration = Duration::from_secs(24 * 60 * 60);
