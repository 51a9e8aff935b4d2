//! Events: what happens to a session that others want to know of at once.
//!
//! Written by the store in the same step as the change. An ordinary save is none, and neither is an end by
//! time alone, which happens without anybody writing it down.

use super::end::EndReason;
use super::head::Head;
use crate::token::SessionId;
use crate::types::Time;

/// Something that happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The session.
    pub id: SessionId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub time: Time,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was stored for the first time.
    Created,
    /// Its token was replaced.
    Rotated,
    /// It became somebody's, somebody else's or nobody's; its token was replaced with that.
    SubjectChanged,
    /// A call ended it.
    Ended(EndReason),
}

impl EventKind {
    /// What the write that made `after` of `before` did, if others want to know.
    pub fn between(before: &Head, after: &Head) -> Option<Self> {
        match after.end {
            Some(end) => Some(Self::Ended(end.reason)),
            None if before.subject != after.subject => Some(Self::SubjectChanged),
            None if before.verifier_hash != after.verifier_hash => Some(Self::Rotated),
            None => None,
        }
    }

    /// The byte it is kept as: the reason of an end, or 128 and above.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Created => 128,
            Self::Rotated => 129,
            Self::SubjectChanged => 130,
            Self::Ended(reason) => reason as u8,
        }
    }

    /// What is kept as this byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            128 => Some(Self::Created),
            129 => Some(Self::Rotated),
            130 => Some(Self::SubjectChanged),
            reason => match EndReason::from_byte(reason) {
                Some(reason) => Some(Self::Ended(reason)),
                None => None,
            },
        }
    }
}
