//! Whether a stored session lives.

use crate::session::{Authority, Denial, EndReason, Precondition, judge};
use crate::store::Snapshot;
use crate::types::Time;

/// Whether a session lives, judged on a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Live,
    Ended(EndReason),
    /// It ended so long ago that the reason does not count any more.
    Forgotten,
}

/// Whether a session lives at `now`.
pub(super) fn is_live(snapshot: &Snapshot, now: Time) -> bool {
    liveness(snapshot, now) == Liveness::Live
}

/// Whether a session lives at `now`, and if not, why it has ended.
pub(super) fn liveness(snapshot: &Snapshot, now: Time) -> Liveness {
    match judge(&snapshot.record.head, snapshot.generation, &Precondition::unconditional(Authority::Admin, now)) {
        Err(Denial::Gone(Some(reason))) => Liveness::Ended(reason),
        Err(Denial::Gone(None)) => Liveness::Forgotten,
        // An administrator without conditions is denied for no other reason.
        Ok(()) | Err(_) => Liveness::Live,
    }
}
