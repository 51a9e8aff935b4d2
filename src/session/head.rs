//! What is known about a session besides its entries.

use std::fmt;
use std::time::Duration;

use super::end::{End, TOMBSTONE_TTL};
use super::entries::Entries;
use super::idempotency::{Fingerprint, IDEMPOTENCY_TTL, IdempotencyRecords};
use crate::token::{KeyId, Nonce, VerifierHash};
use crate::types::Time;

/// A session as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What is known about it.
    pub head: Head,
    /// What it holds; nothing once it has ended.
    pub entries: Entries,
}

/// What is known about a session besides its entries. With an `end` it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Grows by one with every save that changes the session.
    pub version: Version,
    /// Of the current token's secret.
    pub verifier_hash: VerifierHash,
    /// When it was first saved.
    pub create_time: Time,
    /// When it was last used, as far as that was written.
    pub access_time: Time,
    /// When its subject was last set, or last authenticated again.
    pub authenticate_time: Option<Time>,
    /// How long it lives without being used.
    pub idle_timeout: Duration,
    /// When it ends however much it is used.
    pub deadline_time: Time,
    /// Flask's `_permanent`, if there is one.
    pub permanent: Option<bool>,
    /// The app's generation when it was created; a raised one ends it.
    pub generation: Generation,
    /// How many entries it has.
    pub entry_count: u32,
    /// How many bytes their names and values have.
    pub entry_bytes: u32,
    /// Whose it is.
    pub subject: Option<Subject>,
    /// The token that the last rotation replaced. In a box: most sessions have none, and every one would pay for it.
    pub previous: Option<Box<PreviousToken>>,
    /// The calls it remembers.
    pub idempotency: IdempotencyRecords,
    /// Where it was last used from.
    pub context: Context,
    /// How it ended.
    pub end: Option<End>,
    /// What it was imported by, if it did not begin here.
    pub imported_from: Option<ImportedFrom>,
}

impl Head {
    /// A session that begins at `begin` and was never saved: nobody's, without entries, current by this proof.
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
            context: Context::default(),
            end: None,
            imported_from: None,
        }
    }

    /// What whoever has just written needs of it: all but the previous token, marks, context and origin.
    ///
    /// They may be most of it, and a store would have to bring them.
    pub fn public_view(&self) -> Self {
        Self {
            subject: self.subject.clone(),
            previous: None,
            idempotency: IdempotencyRecords::default(),
            context: Context::default(),
            imported_from: None,
            ..*self
        }
    }

    /// When it ends if it is last used at `used`: the earlier of its two deadlines.
    pub fn expire_time(&self, used: Time) -> Time {
        self.deadline_time.min(used.max(self.access_time) + self.idle_timeout)
    }

    /// Until when the reason of its end is told.
    pub fn tombstone_expiry(&self) -> Time {
        let ended = self.end.map_or_else(|| self.expire_time(self.access_time), |end| end.time);
        ended + TOMBSTONE_TTL
    }

    /// When every store may forget it: the memory of its end is over, and what it was imported by opens nothing.
    pub fn purge_time(&self) -> Time {
        self.imported_from
            .map_or_else(|| self.tombstone_expiry(), |imported_from| imported_from.until.max(self.tombstone_expiry()))
    }

    /// Whether a use at `now` is to be written down: a twentieth of the idle timeout has passed, and 10 s.
    pub fn touch_is_due(&self, now: Time) -> bool {
        now.since(self.access_time) >= (self.idle_timeout / 20).max(Duration::from_secs(10))
    }
}

/// The credential of another session service that a session was imported by.
///
/// It leads to this session for as long as it is good: an end that is forgotten sooner would be undone by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedFrom {
    /// When it was issued, if it says so.
    pub issued: Option<Time>,
    /// From when on it opens nothing any more.
    pub until: Time,
}

/// A session's version. Answered as its etag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    /// The version of a session that nobody has saved.
    pub const NEW: Self = Self(0);

    /// The version after one more save.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Reads an etag; nothing if no service ever wrote it.
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

/// How often all sessions of an app have been ended at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// Whose a session is: 1 to 256 bytes of text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Box<str>);

impl Subject {
    /// Reads a subject.
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

/// The text is no subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject is a string or an integer of 1 to 256 bytes")]
pub struct SubjectError;

/// The token that the last rotation replaced, and what its successor is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousToken {
    /// Of the replaced token's secret.
    pub verifier_hash: VerifierHash,
    /// With the replaced secret it gives the successor.
    pub nonce: Nonce,
    /// The key that derives the successor.
    pub key_id: KeyId,
    /// Why it was replaced.
    pub cause: ReplacementCause,
    /// When.
    pub time: Time,
    /// The call that did it, if it had a request_id.
    pub fingerprint: Option<Fingerprint>,
    /// Of the token that was current then, if that was another one: the call showed an older one, in its grace.
    pub current: Option<VerifierHash>,
}

impl PreviousToken {
    /// Whether it still counts: for the longer of its grace and 10 minutes.
    pub fn is_remembered(&self, now: Time) -> bool {
        now < self.time + self.grace().max(PREVIOUS_TTL)
    }

    /// Whether the replaced token still opens the session.
    pub fn is_in_grace(&self, now: Time) -> bool {
        now < self.grace_end()
    }

    /// When the replaced token opens the session no longer.
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
    /// The user's rights changed: no grace.
    Privilege,
    /// It was time.
    Renewal {
        /// How long the old token still opens the session.
        grace: Duration,
    },
}

/// Where a session was last used from, as the frontend told it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The `User-Agent`, cut to 256 bytes.
    pub user_agent: Box<str>,
    /// The user's address.
    pub remote_address: Box<str>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context(..)")
    }
}

/// How long the replaced token is remembered at least: as long as a mark.
pub const PREVIOUS_TTL: Duration = IDEMPOTENCY_TTL;
