//! The effect of a call on its session, for the response.

use crate::session::EndReason;

/// The effect of a call on its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to write.
    Unchanged,
    /// The session is stored for the first time.
    Created,
    /// The changes are stored.
    Updated,
    /// This call ended the session.
    Deleted(EndReason),
    /// The session had ended before, and nothing was written. Without a reason: the store does not remember it.
    Gone(Option<EndReason>),
}

impl Outcome {
    /// Why the session has ended; `None` if it lives, or if the store does not remember it.
    pub const fn end_reason(self) -> Option<EndReason> {
        match self {
            Self::Unchanged | Self::Created | Self::Updated => None,
            Self::Deleted(reason) => Some(reason),
            Self::Gone(reason) => reason,
        }
    }

    /// The outcome as in the contract, without a reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "UNCHANGED",
            Self::Created => "CREATED",
            Self::Updated => "UPDATED",
            Self::Deleted(_) => "DELETED",
            Self::Gone(_) => "GONE",
        }
    }
}
