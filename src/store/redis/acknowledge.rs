//! The servers that must have a write before it is acknowledged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::session::SubjectChange;
use crate::store::Write;
use crate::store::metrics::Operation;

/// The servers that must have a write before the call succeeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// The primary, in its memory.
    #[default]
    Primary,
    /// The primary and so many of its replicas, in their memory. 1 to 9.
    Replicas(u8),
    /// The primary, in its append-only file on the disk.
    Fsync,
}

/// The kind of a write, as far as its acknowledgement depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteKind {
    Save,
    /// It ends sessions: a destroy, a revocation, a logout.
    Ending,
}

impl Acknowledge {
    /// Whether this is the same as the other, or more of it.
    pub(super) fn is_at_least(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Primary) => true,
            (Self::Replicas(count), Self::Replicas(least)) => count >= least,
            _ => self == other,
        }
    }
}

impl WriteKind {
    /// Returns the operation that the wait counts as.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Save => Operation::AcknowledgeSave,
            Self::Ending => Operation::AcknowledgeEnding,
        }
    }

    /// Returns the kind of a write. A save that clears the session or removes its subject is a logout.
    pub(super) fn of(write: &Write) -> Self {
        match write {
            Write::End(_) => Self::Ending,
            Write::Edit(edit) => match &edit.changes {
                Some(changes) if changes.clear || changes.subject == SubjectChange::Remove => Self::Ending,
                _ => Self::Save,
            },
        }
    }
}

impl FromStr for Acknowledge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let replicas = |count: &str| count.parse().ok().filter(|count| (1..=MAX_REPLICAS).contains(count));
        match (text, text.strip_prefix("replicas:").and_then(replicas)) {
            ("primary", _) => Ok(Self::Primary),
            ("fsync", _) => Ok(Self::Fsync),
            (_, Some(count)) => Ok(Self::Replicas(count)),
            _ => {
                Err(format!("{text:?} is not \"primary\", \"fsync\", or \"replicas:1\" to \"replicas:{MAX_REPLICAS}\""))
            }
        }
    }
}

impl fmt::Display for Acknowledge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("primary"),
            Self::Replicas(count) => write!(f, "replicas:{count}"),
            Self::Fsync => f.write_str("fsync"),
        }
    }
}

impl<'de> Deserialize<'de> for Acknowledge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Acknowledge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// More than any Redis has that anybody waits for.
const MAX_REPLICAS: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_was_written_is_read_again() {
        for acknowledge in
            [Acknowledge::Primary, Acknowledge::Replicas(1), Acknowledge::Replicas(9), Acknowledge::Fsync]
        {
            assert_eq!(acknowledge.to_string().parse(), Ok(acknowledge));
        }
        for text in ["", "replicas", "replicas:", "replicas:0", "replicas:10", "replicas:-1", "Fsync", "replicas:1 "] {
            assert!(text.parse::<Acknowledge>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn more_replicas_are_stricter_and_the_disk_is_neither_more_nor_less_than_a_replica() {
        let [one, two] = [1, 2].map(Acknowledge::Replicas);

        assert!(two.is_at_least(one) && one.is_at_least(one) && !one.is_at_least(two));
        assert!(one.is_at_least(Acknowledge::Primary) && Acknowledge::Fsync.is_at_least(Acknowledge::Primary));
        assert!(!Acknowledge::Fsync.is_at_least(one) && !one.is_at_least(Acknowledge::Fsync));
        assert!(!Acknowledge::Primary.is_at_least(one));
    }
}
