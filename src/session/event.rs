//! Events: the changes to a session that watchers are notified of.
//!
//! The store writes an event in the same step as the change. An ordinary save emits none, unless the session expires
//! earlier by it. Neither does expiry, which happens without a write.

use super::end::EndReason;
use super::head::Head;
use crate::token::SessionId;
use crate::types::Time;

/// An event of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: SessionId,
    pub kind: EventKind,
    pub time: Time,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The session was stored for the first time.
    Created,
    /// The token was replaced.
    Rotated,
    /// The subject was set, replaced or removed, and the token replaced with it.
    SubjectChanged,
    /// The session expires earlier than before. WatchEvents does not report it.
    ExpiresEarlier,
    /// A call ended the session.
    Ended(EndReason),
}

impl EventKind {
    /// The event of a write that changed `before` to `after`; `None` for an ordinary save.
    pub fn between(before: &Head, after: &Head) -> Option<Self> {
        match after.end {
            Some(end) => Some(Self::Ended(end.reason)),
            None if before.subject != after.subject => Some(Self::SubjectChanged),
            None if before.verifier_hash != after.verifier_hash => Some(Self::Rotated),
            None if after.expire_time(after.access_time) < before.expire_time(before.access_time) => {
                Some(Self::ExpiresEarlier)
            }
            None => None,
        }
    }

    /// The byte that the kind is stored as: the reason of an end, or 128 and above.
    ///
    /// Version 0.1.0 knows no other ones. It takes [`Self::ExpiresEarlier`] for a rotation, and looks at the session too.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Created => 128,
            Self::Rotated | Self::ExpiresEarlier => 129,
            Self::SubjectChanged => 130,
            Self::Ended(reason) => reason as u8,
        }
    }

    /// Reads the byte that a kind is stored as, but for [`Self::ExpiresEarlier`].
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
