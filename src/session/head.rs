//! The record of a session: its head and its entries.

use std::fmt;
use std::time::Duration;

use super::end::{End, TOMBSTONE_TTL};
use super::entries::Entries;
use super::idempotency::{Fingerprint, IDEMPOTENCY_TTL, IdempotencyRecords};
use crate::token::{KeyId, Nonce, VerifierHash};
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

    /// Whether a use at `now` has to be stored: a twentieth of the idle timeout has passed, and at least 10 s.
    pub fn touch_is_due(&self, now: Time) -> bool {
        now.since(self.access_time) >= (self.idle_timeout / 20).max(Duration::from_secs(10))
    }
}

/// The legacy credential that a session was imported with.
///
/// As long as it is valid, the session's end must be remembered: otherwise it would import the session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedFrom {
    /// `None` if the credential does not say when it was issued.
    pub issued: Option<Time>,
    /// When the credential becomes invalid.
    pub until: Time,
}

/// A session's version, which clients see as its etag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    /// The version of a session that was never saved.
    pub const NEW: Self = Self(0);

    /// The version after one more save.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Reads an etag; `None` if it is not one that the service could have written.
    pub fn parse(etag: &str) -> Option<Self> {
        let number = etag.parse::<u64>().ok()?;
        (number.to_string() == etag && number < 1 << 53).then_some(Self(number))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of times that all sessions of an app have been revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// The user that a session belongs to: 1 to 256 bytes of text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Box<str>);

impl Subject {
    /// Checks a subject.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        if (1..=256).contains(&text.len()) { Ok(Self(text.into())) } else { Err(SubjectError) }
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// The text is not a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject is a string or an integer of 1 to 256 bytes")]
pub struct SubjectError;

/// The token that the last rotation replaced, and what the next token is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousToken {
    /// The hash of the replaced token's verifier.
    pub verifier_hash: VerifierHash,
    /// With the replaced verifier and the key it gives the next token.
    pub nonce: Nonce,
    pub key_id: KeyId,
    pub cause: ReplacementCause,
    /// When the token was replaced.
    pub time: Time,
    /// The call that replaced the token, if it had a request_id.
    pub fingerprint: Option<Fingerprint>,
    /// The hash of the token that was current then, if the call came with an older one in its grace period.
    pub current: Option<VerifierHash>,
}

impl PreviousToken {
    /// Whether the replaced token is still known: for its grace period, and at least 10 minutes.
    pub fn is_remembered(&self, now: Time) -> bool {
        now < self.time + self.grace().max(PREVIOUS_TOKEN_TTL)
    }

    /// Whether the replaced token still opens the session.
    pub fn is_in_grace(&self, now: Time) -> bool {
        now < self.grace_end()
    }

    /// When the replaced token no longer opens the session.
    pub fn grace_end(&self) -> Time {
        self.time + self.grace()
    }

    const fn grace(&self) -> Duration {
        match self.cause {
            ReplacementCause::Privilege => Duration::ZERO,
            ReplacementCause::Renewal { grace } => grace,
        }
    }
}

/// Why a token was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementCause {
    /// The user's rights changed. There is no grace period.
    Privilege,
    /// The token was renewed. The old one still opens the session for `grace`.
    Renewal { grace: Duration },
}

/// Where a session was last used from, as the frontend sent it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestContext {
    /// The `User-Agent`, cut to 256 bytes.
    pub user_agent: Box<str>,
    /// The user's address.
    pub remote_address: Box<str>,
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestContext(..)")
    }
}

/// How long the replaced token is known at least: as long as an idempotency record.
pub const PREVIOUS_TOKEN_TTL: Duration = IDEMPOTENCY_TTL;
