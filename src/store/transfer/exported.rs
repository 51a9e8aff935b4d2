//! The rules of an export: which records and revocations it has, and as what.

use std::time::Duration;

use super::{RevocationPage, SubjectRevocation};
use crate::session::{Authority, EndReason, Precondition, Record, end};
use crate::store::{Revocation, Snapshot};
use crate::types::Time;

/// The record as it is exported: a tombstone if its app was revoked. `None`: it is due for deletion.
pub(in crate::store) fn exported_record(snapshot: Snapshot, revoke_time: Time, now: Time) -> Option<Record> {
    let Snapshot { record, generation } = snapshot;
    let is_revoked = record.head.end.is_none() && record.head.generation < generation;
    let record = if is_revoked {
        let precondition = Precondition::unconditional(Authority::Admin, revoke_time);
        end(&record, EndReason::Revoked, &precondition).0
    } else {
        record
    };
    (now < record.head.purge_time()).then_some(record)
}

/// The revocations of a page that still matter.
pub(in crate::store) fn imported_revocations(
    page: RevocationPage,
    now: Time,
) -> impl Iterator<Item = SubjectRevocation> {
    // What cannot be read may be the latest: no legacy session that was issued before now is imported.
    let unread = Revocation { time: now, until: now + UNREAD_REVOCATION_TTL, except: None };
    let unread = page.corrupt.into_iter().map(move |(app, subject_hash)| SubjectRevocation {
        app,
        subject_hash,
        revocation: unread,
    });
    page.revocations.into_iter().filter(move |revocation| revocation.revocation.until > now).chain(unread)
}

/// Longer than a migration goes on: how long that would be is not known.
const UNREAD_REVOCATION_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
