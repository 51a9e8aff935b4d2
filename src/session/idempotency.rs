//! Marks: what a session remembers of the request_ids it has seen.
//!
//! A hash of the id, a hash of what was asked, time and outcome. Never the id itself.

use sha2::{Digest, Sha256};

use super::end::WriteEffect;
use crate::types::Time;
use std::time::Duration;

/// How long a mark counts.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(10 * 60);

/// How many marks a session keeps, the newest.
pub const MAX_IDEMPOTENCY_RECORDS: usize = 16;

/// What tells one call from another: hashes of its request_id and of what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Of the request_id.
    pub request: [u8; 8],
    /// Of what was asked.
    pub asked: [u8; 8],
}

impl Fingerprint {
    /// The fingerprint of a call: its request_id, and all that it asks in one canonical spelling.
    pub fn new(request_id: &[u8], asked: &[u8]) -> Self {
        Self { request: hash(request_id), asked: hash(asked) }
    }

    /// Both hashes, one after the other.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.request);
        bytes[8..].copy_from_slice(&self.asked);
        bytes
    }

    /// The fingerprint of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let (mut request, mut asked) = ([0; 8], [0; 8]);
        request.copy_from_slice(&bytes[..8]);
        asked.copy_from_slice(&bytes[8..]);
        Self { request, asked }
    }
}

/// A call that a session remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Which call.
    pub fingerprint: Fingerprint,
    /// When it was done.
    pub time: Time,
    /// What became of it.
    pub effect: WriteEffect,
}

impl IdempotencyRecord {
    /// How many bytes a mark is kept as.
    pub const BYTES: usize = 24;

    /// The bytes it is kept as: fingerprint, time in six bytes, outcome, zero.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.fingerprint.to_bytes());
        bytes[16..22].copy_from_slice(&self.time.millis().to_be_bytes()[2..]);
        bytes[22] = self.effect as u8;
        bytes
    }

    /// The mark that is kept as these bytes.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&bytes[..16]);
        let millis = bytes[16..22].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(Self {
            fingerprint: Fingerprint::from_bytes(fingerprint),
            time: Time::from_millis(millis),
            effect: WriteEffect::from_byte(bytes[22])?,
        })
    }
}

/// The marks of a session, oldest first, at most [`MAX_IDEMPOTENCY_RECORDS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyRecords(Vec<IdempotencyRecord>);

impl IdempotencyRecords {
    /// The newest mark of that request_id that still counts.
    pub fn find(&self, request: &[u8; 8], now: Time) -> Option<&IdempotencyRecord> {
        let counts =
            |mark: &&IdempotencyRecord| mark.fingerprint.request == *request && now < mark.time + IDEMPOTENCY_TTL;
        self.0.iter().rev().find(counts)
    }

    /// Remembers one more call, and forgets the oldest if there are too many.
    pub fn push(&mut self, mark: IdempotencyRecord) {
        let excess = (self.0.len() + 1).saturating_sub(MAX_IDEMPOTENCY_RECORDS);
        self.0.drain(..excess);
        self.0.push(mark);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &IdempotencyRecord> {
        self.0.iter()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IdempotencyRecord> for IdempotencyRecords {
    fn from_iter<I: IntoIterator<Item = IdempotencyRecord>>(idempotency: I) -> Self {
        let mut all = Self::default();
        idempotency.into_iter().for_each(|mark| all.push(mark));
        all
    }
}

fn hash(bytes: &[u8]) -> [u8; 8] {
    let mut cut = [0; 8];
    cut.copy_from_slice(&Sha256::digest(bytes)[..8]);
    cut
}
