//! The rule of an import: which of two copies of a session stays.

use crate::session::{Head, Record, Version};
use crate::store::{AppRevocation, Snapshot};
use crate::types::Time;

/// The decision of an import about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is written.
    Write,
    /// The store has the same, a newer copy, or its end.
    Keep,
    /// All sessions of the app were revoked in the store after the export began, and this one with them.
    Revoked,
}

/// Decides about a session of an export that began at `export_time`.
///
/// A session that has ended, in the export or in the store, stays ended. Of two live copies the newer one stays. So an
/// import may be repeated, and may run while the service uses the store.
pub(in crate::store) fn decide(
    stored: Option<&Snapshot>,
    revocation: AppRevocation,
    imported: &Record,
    export_time: Time,
) -> Decision {
    if imported.head.end.is_none() && is_revoked_since(revocation, export_time) {
        return Decision::Revoked;
    }
    let Some(Snapshot { record: Record { head: stored, .. }, .. }) = stored else { return Decision::Write };
    if stored.end.is_some() || stored.generation < revocation.generation {
        Decision::Keep
    } else if imported.head.end.is_some() || age(&imported.head) > age(stored) {
        Decision::Write
    } else {
        Decision::Keep
    }
}

/// Whether a revocation ended what the export has. One of an unknown time counts as later.
fn is_revoked_since(revocation: AppRevocation, export_time: Time) -> bool {
    revocation.has_happened() && revocation.time.is_none_or(|time| time >= export_time)
}

/// Returns a value that is greater in the newer of two copies.
///
/// A rotation or a touch leaves the version as it is.
fn age(head: &Head) -> (Time, Version, Option<Time>, Time) {
    (head.create_time, head.version, head.previous.as_ref().map(|previous| previous.time), head.access_time)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::{End, EndReason, Entries, Generation, PreviousToken, ReplacementCause};
    use crate::token::{KeyId, Nonce, VerifierHash};

    const EXPORT_TIME: Time = Time::from_millis(1_800_000_000_000);
    const BEFORE: Time = Time::from_millis(1_799_999_999_999);

    fn live(version: u64) -> Record {
        let hour = Duration::from_secs(3600);
        let head = Head::new(VerifierHash::from_bytes([1; 16]), BEFORE, hour, hour);
        Record { head: Head { version: Version(version), ..head }, entries: Entries::default() }
    }

    fn ended(version: u64) -> Record {
        let end = Some(End { reason: EndReason::Destroyed, time: BEFORE });
        Record { head: Head { end, ..live(version).head }, entries: Entries::default() }
    }

    fn with(version: u64, change: impl FnOnce(&mut Head)) -> Record {
        let mut record = live(version);
        change(&mut record.head);
        record
    }

    fn decide_between(stored: Option<Record>, imported: &Record) -> Decision {
        let stored = stored.map(|record| Snapshot { record, generation: Generation::default() });
        decide(stored.as_ref(), AppRevocation::default(), imported, EXPORT_TIME)
    }

    fn rotated(time: Time) -> Option<Box<PreviousToken>> {
        Some(Box::new(PreviousToken {
            verifier_hash: VerifierHash::from_bytes([2; 16]),
            nonce: Nonce::from_bytes([3; 16]),
            key_id: KeyId::from_bytes([4; 6]),
            cause: ReplacementCause::Privilege,
            time,
            fingerprint: None,
            current: None,
        }))
    }

    #[test]
    fn what_the_store_does_not_have_is_written() {
        assert_eq!(decide_between(None, &live(1)), Decision::Write);
        assert_eq!(decide_between(None, &ended(1)), Decision::Write);
    }

    #[test]
    fn what_has_ended_stays_ended() {
        assert_eq!(decide_between(Some(ended(1)), &live(9)), Decision::Keep);
        assert_eq!(decide_between(Some(live(9)), &ended(1)), Decision::Write);
        assert_eq!(decide_between(Some(ended(1)), &ended(9)), Decision::Keep);
    }

    #[test]
    fn of_two_live_copies_the_newer_one_stays() {
        let copies = [
            live(1),
            with(1, |head| head.access_time = EXPORT_TIME),
            with(1, |head| head.previous = rotated(BEFORE)),
            with(1, |head| head.previous = rotated(EXPORT_TIME)),
            live(2),
            with(1, |head| head.create_time = EXPORT_TIME),
        ];

        for (older, stored) in copies.iter().enumerate() {
            for (newer, imported) in copies.iter().enumerate() {
                let expected = if newer > older { Decision::Write } else { Decision::Keep };
                assert_eq!(decide_between(Some(stored.clone()), imported), expected, "{older} {newer}");
            }
        }
    }

    #[test]
    fn a_session_of_an_app_that_was_revoked_since_does_not_come_back() {
        let once = |time| AppRevocation { generation: Generation(1), time };
        let stored = Some(Snapshot { record: live(1), generation: Generation(1) });

        assert_eq!(decide(None, once(Some(EXPORT_TIME)), &live(1), EXPORT_TIME), Decision::Revoked);
        assert_eq!(decide(None, once(None), &live(1), EXPORT_TIME), Decision::Revoked);
        assert_eq!(decide(None, once(Some(BEFORE)), &live(1), EXPORT_TIME), Decision::Write);
        assert_eq!(decide(None, once(Some(EXPORT_TIME)), &ended(1), EXPORT_TIME), Decision::Write);
        // The store's own copy was revoked, although the export is later.
        assert_eq!(decide(stored.as_ref(), once(Some(BEFORE)), &live(2), EXPORT_TIME), Decision::Keep);
    }
}
