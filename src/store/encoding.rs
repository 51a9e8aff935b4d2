//! The bytes in which the embedded store and Redis store heads, index entries and feed entries.
//!
//! Numbers are big-endian and parts have fixed positions where they can, so that a script can read and change them:
//! `redis/scripts/*.lua` knows [`META_FORMAT`], and the positions in [`encode_previous`]. What is stored somewhere has
//! these bytes, so they only change together with the version of a format.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{FeedEntry, IndexEntry, Revocation, SubjectRef};
use crate::session::{
    End, EndReason, Event, EventKind, Fingerprint, Generation, Head, IdempotencyRecord, IdempotencyRecords,
    ImportedFrom, PreviousToken, ReplacementCause, RequestContext, Subject, Version,
};
use crate::token::{KeyId, Nonce, SessionId, VerifierHash};
use crate::types::{AppName, Time};

/// The parts of an encoded head, in order, by the name of their field in Redis.
///
/// They are: meta, access time, subject, previous token, idempotency records, context, end, imported from. A new part
/// goes to the end; [`EncodedHead::encode`] and [`EncodedHead::decode`] do not compile without it, and nothing else has
/// to know it, except for Redis' scripts if a save or an end changes it.
pub(super) const HEAD_FIELDS: [u8; 8] = *b"muspkcxo";

/// A head in bytes: the parts that [`HEAD_FIELDS`] names. Only the first two are never empty.
#[derive(Debug, Default)]
pub(super) struct EncodedHead(pub(super) [Vec<u8>; HEAD_FIELDS.len()]);

impl EncodedHead {
    pub(super) fn encode(head: &Head) -> Self {
        Self([
            encode_meta(head),
            head.access_time.millis().to_be_bytes().to_vec(),
            head.subject.as_ref().map(|subject| subject.as_str().as_bytes().to_vec()).unwrap_or_default(),
            head.previous.as_deref().map(encode_previous).unwrap_or_default(),
            head.idempotency.iter().flat_map(|record| record.to_bytes()).collect(),
            encode_context(&head.context),
            head.end.map(encode_end).unwrap_or_default(),
            head.imported_from.map(encode_imported_from).unwrap_or_default(),
        ])
    }

    /// Reads a head; `None` if the bytes are not one.
    pub(super) fn decode(&self) -> Option<Head> {
        let Self([meta, access_time, subject, previous, idempotency, context, end, imported_from]) = self;
        Some(Head {
            previous: decode_part(previous, |bytes| decode_previous(bytes).map(Box::new))?,
            idempotency: decode_idempotency(idempotency)?,
            context: decode_context(context)?,
            imported_from: decode_part(imported_from, decode_imported_from)?,
            ..decode_public_view(meta, access_time, subject, end)?
        })
    }
}

/// Reads the parts of a head that [`Head::public_view`] has.
pub(super) fn decode_public_view(meta: &[u8], access_time: &[u8], subject: &[u8], end: &[u8]) -> Option<Head> {
    Some(Head {
        access_time: Time::from_millis(u64::from_be_bytes(access_time.try_into().ok()?)),
        subject: decode_part(subject, |bytes| Subject::parse(std::str::from_utf8(bytes).ok()?).ok())?,
        end: decode_part(end, decode_end)?,
        ..decode_meta(meta)?
    })
}

/// Reads a part that is empty if the head does not have it: `Some(None)` then.
fn decode_part<T>(bytes: &[u8], decode: impl FnOnce(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if bytes.is_empty() { Some(None) } else { decode(bytes).map(Some) }
}

/// The layout of the first part, for `struct.pack` and `struct.unpack` in Redis' scripts.
///
/// Version, verifier hash, create time, idle timeout, deadline time, authenticate time (0 for none), permanent, entry
/// count, entry bytes, generation.
pub(super) const META_FORMAT: &str = ">I8c16I6I6I6I6BI4I4I4";

/// The length of the first part.
pub(super) const META_BYTES: usize = 8 + 16 + 4 * 6 + 1 + 3 * 4;

fn encode_meta(head: &Head) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(META_BYTES);
    bytes.extend_from_slice(&head.version.0.to_be_bytes());
    bytes.extend_from_slice(head.verifier_hash.as_bytes());
    bytes.extend_from_slice(&u48_be(head.create_time.millis()));
    bytes.extend_from_slice(&u48_be(millis(head.idle_timeout)));
    bytes.extend_from_slice(&u48_be(head.deadline_time.millis()));
    bytes.extend_from_slice(&u48_be(head.authenticate_time.map_or(0, Time::millis)));
    bytes.push(encode_permanent(head.permanent));
    bytes.extend_from_slice(&head.entry_count.to_be_bytes());
    bytes.extend_from_slice(&head.entry_bytes.to_be_bytes());
    bytes.extend_from_slice(&head.generation.0.to_be_bytes());
    bytes
}

/// The byte of Flask's `_permanent`.
pub(super) const fn encode_permanent(permanent: Option<bool>) -> u8 {
    match permanent {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

fn decode_meta(bytes: &[u8]) -> Option<Head> {
    let mut reader = ByteReader(bytes);
    let version = Version(reader.u64()?);
    let verifier_hash = VerifierHash::from_bytes(reader.array()?);
    let (create_time, idle_timeout, deadline_time) = (reader.time()?, reader.duration()?, reader.time()?);
    let head = Head {
        version,
        deadline_time,
        authenticate_time: reader.optional_time()?,
        permanent: match reader.u8()? {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return None,
        },
        entry_count: reader.u32()?,
        entry_bytes: reader.u32()?,
        generation: Generation(reader.u32()?),
        ..Head::new(verifier_hash, create_time, idle_timeout, Duration::ZERO)
    };
    reader.0.is_empty().then_some(head)
}

/// Verifier hash, nonce, key id, cause, grace, time; then the fingerprint and the current token's verifier hash, if
/// any.
pub(super) fn encode_previous(previous: &PreviousToken) -> Vec<u8> {
    let (cause, grace) = match previous.cause {
        ReplacementCause::Privilege => (0, Duration::ZERO),
        ReplacementCause::Renewal { grace } => (1, grace),
    };
    let mut bytes = Vec::with_capacity(83);
    bytes.extend_from_slice(previous.verifier_hash.as_bytes());
    bytes.extend_from_slice(previous.nonce.as_bytes());
    bytes.extend_from_slice(previous.key_id.as_bytes());
    bytes.push(cause + if previous.current.is_some() { HAS_CURRENT } else { 0 });
    bytes.extend_from_slice(&u48_be(millis(grace)));
    bytes.extend_from_slice(&u48_be(previous.time.millis()));
    if let Some(fingerprint) = previous.fingerprint {
        bytes.extend_from_slice(&fingerprint.to_bytes());
    }
    if let Some(current) = previous.current {
        bytes.extend_from_slice(current.as_bytes());
    }
    bytes
}

/// Added to the byte of the cause if the last 16 bytes are [`PreviousToken::current`].
const HAS_CURRENT: u8 = 2;

fn decode_previous(bytes: &[u8]) -> Option<PreviousToken> {
    let mut reader = ByteReader(bytes);
    let (verifier_hash, nonce, key_id) = (reader.array()?, reader.array()?, reader.array()?);
    let (cause, grace, time) = (reader.u8()?, reader.duration()?, reader.time()?);
    let current = if cause & HAS_CURRENT == 0 { None } else { Some(reader.last_array()?) };
    Some(PreviousToken {
        verifier_hash: VerifierHash::from_bytes(verifier_hash),
        nonce: Nonce::from_bytes(nonce),
        key_id: KeyId::from_bytes(key_id),
        cause: match cause & !HAS_CURRENT {
            0 => ReplacementCause::Privilege,
            1 => ReplacementCause::Renewal { grace },
            _ => return None,
        },
        time,
        fingerprint: if reader.0.is_empty() { None } else { Some(Fingerprint::from_bytes(reader.array()?)) },
        current: current.map(VerifierHash::from_bytes),
    })
}

fn decode_idempotency(bytes: &[u8]) -> Option<IdempotencyRecords> {
    let (records, rest) = bytes.as_chunks::<{ IdempotencyRecord::BYTES }>();
    if !rest.is_empty() {
        return None;
    }
    records.iter().map(IdempotencyRecord::from_bytes).collect()
}

/// The length of the user agent in two bytes, the user agent, the address. Empty if both are.
pub(super) fn encode_context(context: &RequestContext) -> Vec<u8> {
    if *context == RequestContext::default() {
        return Vec::new();
    }
    let length = u16::try_from(context.user_agent.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(context.user_agent.as_bytes());
    bytes.extend_from_slice(context.remote_address.as_bytes());
    bytes
}

fn decode_context(bytes: &[u8]) -> Option<RequestContext> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return bytes.is_empty().then(RequestContext::default) };
    let (user_agent, remote_address) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
    Some(RequestContext { user_agent: text(user_agent)?, remote_address: text(remote_address)? })
}

/// Reason, time.
fn encode_end(end: End) -> Vec<u8> {
    let mut bytes = vec![end.reason as u8];
    bytes.extend_from_slice(&u48_be(end.time.millis()));
    bytes
}

fn decode_end(bytes: &[u8]) -> Option<End> {
    let mut reader = ByteReader(bytes);
    Some(End { reason: EndReason::from_byte(reader.u8()?)?, time: reader.time()? })
}

/// The time of issue (0 for none), the time until which the credential is good.
fn encode_imported_from(imported_from: ImportedFrom) -> Vec<u8> {
    [u48_be(imported_from.issued.map_or(0, Time::millis)), u48_be(imported_from.until.millis())].concat()
}

fn decode_imported_from(bytes: &[u8]) -> Option<ImportedFrom> {
    let mut reader = ByteReader(bytes);
    Some(ImportedFrom { issued: reader.optional_time()?, until: reader.time()? })
}

/// Time, expiry, and the id of the session that was not revoked, if any.
pub(super) fn encode_revocation(revocation: &Revocation) -> Vec<u8> {
    let mut bytes = [u48_be(revocation.time.millis()), u48_be(revocation.until.millis())].concat();
    bytes.extend(revocation.except.iter().flat_map(SessionId::as_bytes));
    bytes
}

pub(super) fn decode_revocation(bytes: &[u8]) -> Option<Revocation> {
    let mut reader = ByteReader(bytes);
    let (time, until) = (reader.time()?, reader.time()?);
    let except = if reader.0.is_empty() { None } else { Some(SessionId::from_bytes(reader.array()?)) };
    Some(Revocation { time, until, except })
}

/// The times of an index entry. The session's id is in the key or the field's name.
pub(super) fn encode_index_entry(entry: &IndexEntry) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..6].copy_from_slice(&u48_be(entry.add_time.millis()));
    bytes[6..].copy_from_slice(&u48_be(entry.until.millis()));
    bytes
}

pub(super) fn decode_index_entry(id: &[u8], times: &[u8]) -> Option<IndexEntry> {
    let mut reader = ByteReader(times);
    Some(IndexEntry { id: SessionId::from_bytes(id.try_into().ok()?), add_time: reader.time()?, until: reader.time()? })
}

/// The time alone for all sessions; kind, time and id for one, and another byte for [`EventKind::ExpiresEarlier`].
pub(super) fn encode_feed_entry(entry: &FeedEntry) -> Vec<u8> {
    match entry {
        FeedEntry::AppRevoked { time } => u48_be(time.millis()).to_vec(),
        FeedEntry::Session(Event { id, kind, time }) => {
            let mut bytes = vec![kind.to_byte()];
            bytes.extend_from_slice(&u48_be(time.millis()));
            bytes.extend_from_slice(id.as_bytes());
            if *kind == EventKind::ExpiresEarlier {
                bytes.push(1);
            }
            bytes
        }
    }
}

pub(super) fn decode_feed_entry(bytes: &[u8]) -> Option<FeedEntry> {
    let mut reader = ByteReader(bytes);
    if bytes.len() == 6 {
        return Some(FeedEntry::AppRevoked { time: reader.time()? });
    }
    let (kind, time, id) =
        (EventKind::from_byte(reader.u8()?)?, reader.time()?, SessionId::from_bytes(reader.array()?));
    let kind = if reader.0.is_empty() { kind } else { EventKind::ExpiresEarlier };
    Some(FeedEntry::Session(Event { id, kind, time }))
}

/// Marks the cursors of an app's feed, so that one of another app is noticed.
pub(super) fn feed_tag(app: &AppName) -> [u8; 8] {
    let mut tag = [0; 8];
    tag.copy_from_slice(&Sha256::digest(app.as_bytes())[..8]);
    tag
}

/// Identifies a subject in a key. A hash, so that keys do not contain personal data.
pub(super) fn subject_hash(subject_ref: &SubjectRef) -> [u8; 16] {
    let SubjectRef { app, subject } = subject_ref;
    let mut hash = Sha256::new();
    for part in [app.as_bytes(), subject.as_str().as_bytes()] {
        hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut cut = [0; 16];
    cut.copy_from_slice(&hash.finalize()[..16]);
    cut
}

/// The lower six bytes of a number, big-endian: enough for milliseconds until the year 10889.
pub(super) fn u48_be(number: u64) -> [u8; 6] {
    let [_, _, rest @ ..] = number.to_be_bytes();
    rest
}

/// A duration in whole milliseconds, as many as six bytes can hold at most.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(Time::MAX.millis())
}

/// Reads numbers and parts from the front of its bytes; `None` if too few are left.
pub(super) struct ByteReader<'b>(pub(super) &'b [u8]);

impl<'b> ByteReader<'b> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    /// Reads from the end.
    fn last_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (rest, last) = self.0.split_last_chunk()?;
        self.0 = rest;
        Some(*last)
    }

    pub(super) fn slice(&mut self, length: usize) -> Option<&'b [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn time(&mut self) -> Option<Time> {
        let [a, b, c, d, e, f] = self.array()?;
        Some(Time::from_millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
    }

    /// Reads a time that is 0 if there is none: `Some(None)` then.
    pub(super) fn optional_time(&mut self) -> Option<Option<Time>> {
        self.time().map(|time| Some(time).filter(|time| time.millis() != 0))
    }

    fn duration(&mut self) -> Option<Duration> {
        self.time().map(|time| Duration::from_millis(time.millis()))
    }
}
