//! Idempotency records: what a session remembers of calls with a request_id.
//!
//! A hash of the id, a hash of the request, time and effect. Never the id itself.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::effect::WriteEffect;
use crate::types::Time;

/// How long a call is remembered.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(10 * 60);

/// The most calls that a session remembers; the oldest are dropped.
pub const MAX_IDEMPOTENCY_RECORDS: usize = 16;

/// Identifies a call: hashes of its request_id and of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    pub request_id: [u8; 8],
    pub request: [u8; 8],
}

impl Fingerprint {
    /// Computes the fingerprint of a call; `request` is the whole request in canonical form.
    pub fn new(request_id: &[u8], request: &[u8]) -> Self {
        Self { request_id: Self::request_id(request_id), request: hash(request) }
    }

    /// Computes the hash of a request_id.
    pub fn request_id(request_id: &[u8]) -> [u8; 8] {
        hash(request_id)
    }

    /// Both hashes, one after the other.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.request_id);
        bytes[8..].copy_from_slice(&self.request);
        bytes
    }

    /// Makes a fingerprint of its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let (mut request_id, mut request) = ([0; 8], [0; 8]);
        request_id.copy_from_slice(&bytes[..8]);
        request.copy_from_slice(&bytes[8..]);
        Self { request_id, request }
    }
}

/// A call that a session remembers, and its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    pub fingerprint: Fingerprint,
    pub time: Time,
    pub effect: WriteEffect,
}

impl IdempotencyRecord {
    /// The bytes that a record is stored as.
    pub const BYTES: usize = 24;

    /// Writes the record: fingerprint, time in six bytes, effect, zero.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.fingerprint.to_bytes());
        bytes[16..22].copy_from_slice(&self.time.millis().to_be_bytes()[2..]);
        bytes[22] = self.effect as u8;
        bytes
    }

    /// Reads a record from its bytes.
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

/// The calls that a session remembers, oldest first, at most [`MAX_IDEMPOTENCY_RECORDS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyRecords(Vec<IdempotencyRecord>);

impl IdempotencyRecords {
    /// Finds the newest call with the request_id of this hash that has not expired.
    pub fn find(&self, request_id: &[u8; 8], now: Time) -> Option<&IdempotencyRecord> {
        let mut newest_first = self.0.iter().rev();
        newest_first.find(|call| call.fingerprint.request_id == *request_id && now < call.time + IDEMPOTENCY_TTL)
    }

    /// Adds a call, and drops the oldest if there are too many.
    pub fn push(&mut self, call: IdempotencyRecord) {
        let excess = (self.0.len() + 1).saturating_sub(MAX_IDEMPOTENCY_RECORDS);
        self.0.drain(..excess);
        self.0.push(call);
    }

    /// All calls, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &IdempotencyRecord> {
        self.0.iter()
    }

    /// Whether no call is remembered.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IdempotencyRecord> for IdempotencyRecords {
    fn from_iter<I: IntoIterator<Item = IdempotencyRecord>>(calls: I) -> Self {
        let mut all = Self::default();
        calls.into_iter().for_each(|call| all.push(call));
        all
    }
}

fn hash(bytes: &[u8]) -> [u8; 8] {
    let mut cut = [0; 8];
    cut.copy_from_slice(&Sha256::digest(bytes)[..8]);
    cut
}
