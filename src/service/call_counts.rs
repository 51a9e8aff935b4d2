//! Counts of calls by their result: opens by what they found, and saves by their outcome.
//!
//! They say why users are logged out. A call that fails has no result; the server counts it by its error.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::Outcome;
use crate::session::EndReason;

/// The finding of an open. Of several cookies the one counts that stands last in this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Found {
    /// The request has no cookie of the app, or shows a ticket again.
    New,
    /// No signature verifies; the counts of rejected tokens say why.
    Rejected,
    /// The migration source refuses the legacy credential; its counts say why.
    LegacyRefused,
    /// The token verifies, and the store does not know the session: it ended more than 16 minutes ago, or was lost.
    Unknown,
    Idle,
    Absolute,
    Emptied,
    Destroyed,
    Evicted,
    Revoked,
    /// The session lives, but the token was replaced.
    Superseded,
    Live,
    /// A legacy session, which this open has imported.
    Imported,
    /// The cookies name two live sessions.
    Ambiguous,
    /// The app has no key.
    Null,
}

impl Found {
    /// All values, each at the index of its value.
    const ALL: [Self; 15] = [
        Self::New,
        Self::Rejected,
        Self::LegacyRefused,
        Self::Unknown,
        Self::Idle,
        Self::Absolute,
        Self::Emptied,
        Self::Destroyed,
        Self::Evicted,
        Self::Revoked,
        Self::Superseded,
        Self::Live,
        Self::Imported,
        Self::Ambiguous,
        Self::Null,
    ];

    /// The finding for a verified token whose session has ended. Without a reason: the store does not know the session.
    pub(super) const fn ended(reason: Option<EndReason>) -> Self {
        match reason {
            None | Some(EndReason::Moved | EndReason::Arriving) => Self::Unknown,
            Some(EndReason::Idle) => Self::Idle,
            Some(EndReason::Absolute) => Self::Absolute,
            Some(EndReason::Emptied) => Self::Emptied,
            Some(EndReason::Destroyed) => Self::Destroyed,
            Some(EndReason::Evicted) => Self::Evicted,
            Some(EndReason::Revoked) => Self::Revoked,
            Some(EndReason::Superseded) => Self::Superseded,
        }
    }

    /// The value of the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Rejected => "REJECTED",
            Self::LegacyRefused => "LEGACY_REFUSED",
            Self::Unknown => UNKNOWN,
            Self::Idle => EndReason::Idle.as_str(),
            Self::Absolute => EndReason::Absolute.as_str(),
            Self::Emptied => EndReason::Emptied.as_str(),
            Self::Destroyed => EndReason::Destroyed.as_str(),
            Self::Evicted => EndReason::Evicted.as_str(),
            Self::Revoked => EndReason::Revoked.as_str(),
            Self::Superseded => EndReason::Superseded.as_str(),
            Self::Live => "LIVE",
            Self::Imported => "IMPORTED",
            Self::Ambiguous => "AMBIGUOUS",
            Self::Null => "NULL",
        }
    }
}

/// The finding of the call under way so far.
#[derive(Debug, Default)]
pub(super) struct CallFinding(AtomicU8);

impl CallFinding {
    /// Notes what one of the request's credentials leads to.
    pub(super) fn note(&self, found: Found) {
        self.0.fetch_max(found as u8, Ordering::Relaxed);
    }

    pub(super) fn found(&self) -> Found {
        Found::ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }
}

/// The counts of an app.
#[derive(Debug, Default)]
pub(super) struct CallCounts {
    /// Indexed as [`Found::ALL`].
    opens: [AtomicU64; Found::ALL.len()],
    /// Indexed as [`SAVE_OUTCOMES`].
    saves: [AtomicU64; SAVE_OUTCOMES.len()],
}

/// The outcome of a save as the labels of its metric: the outcome, and why the session is gone.
pub type SaveResult = (&'static str, &'static str);

impl CallCounts {
    pub(super) fn open(&self, found: Found) -> &AtomicU64 {
        &self.opens[found as usize]
    }

    pub(super) fn save(&self, outcome: Outcome) -> &AtomicU64 {
        let outcome = match outcome {
            // Why a save ended the session does not count.
            Outcome::Deleted(_) => Outcome::Deleted(EndReason::Emptied),
            // As in an open: the session is in another store.
            Outcome::Gone(Some(EndReason::Moved | EndReason::Arriving)) => Outcome::Gone(None),
            outcome => outcome,
        };
        let index = SAVE_OUTCOMES.iter().position(|known| *known == outcome);
        &self.saves[index.expect("every outcome is listed")]
    }

    /// Returns the number of opens by what they found.
    pub(super) fn opens(&self) -> Vec<(Found, u64)> {
        Found::ALL.map(|found| (found, self.opens[found as usize].load(Ordering::Relaxed))).into()
    }

    /// Returns the number of saves by their result.
    pub(super) fn saves(&self) -> Vec<(SaveResult, u64)> {
        let counts = self.saves.iter().map(|count| count.load(Ordering::Relaxed));
        SAVE_OUTCOMES.into_iter().map(save_result).zip(counts).collect()
    }
}

/// Returns the labels of an outcome.
pub(super) const fn save_result(outcome: Outcome) -> SaveResult {
    let reason = match outcome {
        Outcome::Unchanged | Outcome::Created | Outcome::Updated | Outcome::Deleted(_) => NONE,
        Outcome::Gone(None) => UNKNOWN,
        Outcome::Gone(Some(reason)) => reason.as_str(),
    };
    (outcome.as_str(), reason)
}

/// The outcomes that count by themselves.
const SAVE_OUTCOMES: [Outcome; 12] = [
    Outcome::Updated,
    Outcome::Created,
    Outcome::Unchanged,
    Outcome::Deleted(EndReason::Emptied),
    Outcome::Gone(None),
    Outcome::Gone(Some(EndReason::Destroyed)),
    Outcome::Gone(Some(EndReason::Emptied)),
    Outcome::Gone(Some(EndReason::Revoked)),
    Outcome::Gone(Some(EndReason::Superseded)),
    Outcome::Gone(Some(EndReason::Idle)),
    Outcome::Gone(Some(EndReason::Absolute)),
    Outcome::Gone(Some(EndReason::Evicted)),
];

/// The session is not gone.
pub(super) const NONE: &str = "NONE";

/// The store does not know the session.
const UNKNOWN: &str = "UNKNOWN";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_at_the_index_of_its_value() {
        for (index, found) in Found::ALL.into_iter().enumerate() {
            assert_eq!(found as usize, index);
        }
    }

    #[test]
    fn every_outcome_has_a_count_of_its_own() {
        let counts = CallCounts::default();
        let ends = (1..8).filter_map(EndReason::from_byte).map(|reason| Outcome::Gone(Some(reason)));
        let others = [
            Outcome::Updated,
            Outcome::Created,
            Outcome::Unchanged,
            Outcome::Gone(None),
            Outcome::Deleted(EndReason::Emptied),
        ];

        for outcome in ends.chain(others) {
            counts.save(outcome).fetch_add(1, Ordering::Relaxed);
        }

        assert!(counts.saves().iter().all(|(_, count)| *count == 1), "{:?}", counts.saves());
    }

    #[test]
    fn a_save_of_a_session_that_is_being_moved_counts_as_one_of_a_session_that_is_not_known() {
        let counts = CallCounts::default();

        for reason in (0..=u8::MAX).filter_map(EndReason::from_byte) {
            counts.save(Outcome::Gone(Some(reason))).fetch_add(1, Ordering::Relaxed);
        }

        assert_eq!(counts.save(Outcome::Gone(None)).load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_live_session_counts_before_the_other_cookies_of_its_request() {
        let finding = CallFinding::default();
        assert_eq!(finding.found(), Found::New);

        for found in [Found::Rejected, Found::Live, Found::Idle, Found::Superseded] {
            finding.note(found);
        }

        assert_eq!(finding.found(), Found::Live);
    }
}
