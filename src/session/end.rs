//! How a session ends, and how long that is remembered.

use std::time::Duration;

use crate::types::Time;

/// How long an end is remembered: longer than any ticket (15 minutes) and any mark (10 minutes) lives.
pub const TOMBSTONE_TTL: Duration = Duration::from_secs(16 * 60);

/// The end of a session by a call. What is left of the session then is its tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// When.
    pub time: Time,
}

/// Why a session, or a token's hold on it, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// A user logged out.
    Destroyed = 1,
    /// A save left no entries.
    Emptied = 2,
    /// An administrator ended it.
    Revoked = 3,
    /// The session lives, but this token was replaced.
    Superseded = 4,
    /// It was not used for its idle timeout.
    Idle = 5,
    /// Its absolute deadline has passed.
    Absolute = 6,
    /// Its subject opened more sessions than it may have.
    Evicted = 7,
}

impl EndReason {
    /// The reason that is kept as this byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Destroyed,
            2 => Self::Emptied,
            3 => Self::Revoked,
            4 => Self::Superseded,
            5 => Self::Idle,
            6 => Self::Absolute,
            7 => Self::Evicted,
            _ => return None,
        })
    }

    /// The reason in one word, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Destroyed => "DESTROYED",
            Self::Emptied => "EMPTIED",
            Self::Revoked => "REVOKED",
            Self::Superseded => "SUPERSEDED",
            Self::Idle => "IDLE",
            Self::Absolute => "ABSOLUTE",
            Self::Evicted => "EVICTED",
        }
    }
}

/// What became of a session by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WriteEffect {
    /// There was nothing to write.
    Unchanged = 1,
    /// It is stored for the first time.
    Created = 2,
    /// The changes are stored.
    Updated = 3,
    /// This call ended it.
    Deleted = 4,
}

impl WriteEffect {
    /// The outcome that is kept as this byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Unchanged,
            2 => Self::Created,
            3 => Self::Updated,
            4 => Self::Deleted,
            _ => return None,
        })
    }
}
