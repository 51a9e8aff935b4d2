//! The record of a session: its head and its entries.

use std::time::Duration;

use super::end::{End, TOMBSTONE_TTL};
use super::entries::Entries;
use super::idempotency::IdempotencyRecords;
use super::previous_token::PreviousToken;
use super::request_context::RequestContext;
use super::subject::Subject;
use super::version::{Generation, Version};
use crate::token::VerifierHash;
use crate::types::Time;

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub head: Head,
    /// Empty once the session has ended.
    pub entries: Entries,
}

/// All of a session except its entries. A head with an `end` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Grows by one with every save that has changes.
    pub version: Version,
    /// The hash of the current token's verifier.
    pub verifier_hash: VerifierHash,
    /// When the session was first saved.
    pub create_time: Time,
    /// When the session was last used, as far as that was stored: see [`Self::touch_is_due`].
    pub access_time: Time,
    /// When the subject was last set, or last authenticated again.
    pub authenticate_time: Option<Time>,
    /// The session ends when it has not been used for this long.
    pub idle_timeout: Duration,
    /// The session ends at this time even if it is used.
    pub deadline_time: Time,
    /// Flask's `_permanent`; `None` if it is not set.
    pub permanent: Option<bool>,
    /// The app's generation when the session was created. A higher one revokes the session.
    pub generation: Generation,
    pub entry_count: u32,
    /// The bytes of all names and values together.
    pub entry_bytes: u32,
    /// `None` for an anonymous session.
    pub subject: Option<Subject>,
    /// The token that the last rotation replaced. Boxed, because most sessions have none and would take its memory all
    /// the same.
    pub previous: Option<Box<PreviousToken>>,
    pub idempotency: IdempotencyRecords,
    pub context: RequestContext,
    /// `None` while no call has ended the session.
    pub end: Option<End>,
    /// The legacy credential that the session was imported with, if it was.
    pub imported_from: Option<ImportedFrom>,
}

impl Head {
    /// Makes the head of an anonymous session without entries that begins at `begin` and was never saved.
    pub fn new(verifier_hash: VerifierHash, begin: Time, idle_timeout: Duration, absolute_timeout: Duration) -> Self {
        Self {
            version: Version::NEW,
            verifier_hash,
            create_time: begin,
            access_time: begin,
            authenticate_time: None,
            idle_timeout,
            deadline_time: begin + absolute_timeout,
            permanent: None,
            generation: Generation::default(),
            entry_count: 0,
            entry_bytes: 0,
            subject: None,
            previous: None,
            idempotency: IdempotencyRecords::default(),
            context: RequestContext::default(),
            end: None,
            imported_from: None,
        }
    }

    /// Returns the part that the response to a write needs.
    ///
    /// Previous token, idempotency records, context and `imported_from` are left out: they may be most of the head, and
    /// a store would have to load them.
    pub fn public_view(&self) -> Self {
        Self {
            subject: self.subject.clone(),
            previous: None,
            idempotency: IdempotencyRecords::default(),
            context: RequestContext::default(),
            imported_from: None,
            ..*self
        }
    }

    /// When the session expires if it is last used at `used`: the earlier of its two deadlines.
    pub fn expire_time(&self, used: Time) -> Time {
        self.deadline_time.min(used.max(self.access_time) + self.idle_timeout)
    }

    /// Until when the reason of the session's end is known.
    pub fn tombstone_expiry(&self) -> Time {
        let ended = self.end.map_or_else(|| self.expire_time(self.access_time), |end| end.time);
        ended + TOMBSTONE_TTL
    }

    /// When stores may delete the record: its tombstone has expired, and the credential it was imported with as well.
    pub fn purge_time(&self) -> Time {
        self.tombstone_expiry().max(self.imported_from.map_or_else(Time::default, |imported_from| imported_from.until))
    }

    /// Whether a use at `now` has to be stored: a twentieth of the idle timeout has passed.
    pub fn touch_is_due(&self, now: Time) -> bool {
        now.since(self.access_time) >= self.idle_timeout / 20
    }
}

/// The legacy credential that a session was imported with.
///
/// As long as it is valid, the session's end must be remembered: otherwise it would import the session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedFrom {
    /// `None` if the credential does not say when it was issued.
    pub issued: Option<Time>,
    /// The time until which the end is remembered: the credential is invalid then, or the migration is over.
    pub until: Time,
}
