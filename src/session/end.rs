//! How a session ends, and how long its tombstone stays.

use std::time::Duration;

use crate::types::Time;

/// How long a tombstone stays: longer than any ticket (15 minutes) and any idempotency record (10 minutes).
pub const TOMBSTONE_TTL: Duration = Duration::from_secs(16 * 60);

/// The end of a session by a call. Its record is a tombstone then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub reason: EndReason,
    pub time: Time,
}

/// Why a session has ended, or why a token no longer opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// The user logged out.
    Destroyed = 1,
    /// A save left no entries.
    Emptied = 2,
    /// An administrator ended it.
    Revoked = 3,
    /// This token was replaced; the session lives on.
    Superseded = 4,
    /// It was not used for its idle timeout.
    Idle = 5,
    /// Its absolute deadline has passed.
    Absolute = 6,
    /// Its subject has opened more sessions than the app allows.
    Evicted = 7,
    /// Another store has the session now. Stores use it among themselves; no caller gets it.
    Moved = 8,
    /// The record is a copy, with all entries, of a session that another store still has. As [`Self::Moved`].
    Arriving = 9,
}

impl EndReason {
    /// Reads the byte that a reason is stored as.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Destroyed,
            2 => Self::Emptied,
            3 => Self::Revoked,
            4 => Self::Superseded,
            5 => Self::Idle,
            6 => Self::Absolute,
            7 => Self::Evicted,
            8 => Self::Moved,
            9 => Self::Arriving,
            _ => return None,
        })
    }

    /// Reads a reason as in the contract.
    pub fn parse(text: &str) -> Option<Self> {
        (1..=Self::Evicted as u8).filter_map(Self::from_byte).find(|reason| reason.as_str() == text)
    }

    /// The reason as in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Destroyed => "DESTROYED",
            Self::Emptied => "EMPTIED",
            Self::Revoked => "REVOKED",
            Self::Superseded => "SUPERSEDED",
            Self::Idle => "IDLE",
            Self::Absolute => "ABSOLUTE",
            Self::Evicted => "EVICTED",
            Self::Moved => "MOVED",
            Self::Arriving => "ARRIVING",
        }
    }
}
