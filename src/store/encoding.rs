//! The head of a session in bytes: what the stores that write to disk or wire keep.
//!
//! Fixed places and big-endian numbers, so that a script can compare and change them too. The version
//! stands in the first eight bytes of [`EncodedHead::meta`]; `redis/*.lua` unpacks the same layout.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{FeedEntry, IndexEntry, Revocation, SubjectRef};
use crate::session::{
    Context, End, EndReason, Event, EventKind, Fingerprint, Generation, Head, IdempotencyRecord, IdempotencyRecords,
    ImportedFrom, PreviousToken, ReplacementCause, Subject, Version,
};
use crate::token::{KeyId, Nonce, SessionId, VerifierHash};
use crate::types::{AppName, Time};

/// A head in bytes. Parts that say nothing are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EncodedHead {
    /// Version, proof, times, permanent, sizes, generation: [`META_BYTES`].
    pub(super) meta: Vec<u8>,
    /// Time of last use: eight bytes.
    pub(super) used: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) previous: Vec<u8>,
    pub(super) idempotency: Vec<u8>,
    pub(super) context: Vec<u8>,
    pub(super) end: Vec<u8>,
    pub(super) imported_from: Vec<u8>,
}

impl EncodedHead {
    pub(super) fn pack(head: &Head) -> Self {
        Self {
            meta: pack_meta(head),
            used: head.access_time.millis().to_be_bytes().to_vec(),
            subject: head.subject.as_ref().map(|subject| subject.as_str().as_bytes().to_vec()).unwrap_or_default(),
            previous: head.previous.as_deref().map(pack_previous).unwrap_or_default(),
            idempotency: head.idempotency.iter().flat_map(|record| record.to_bytes()).collect(),
            context: pack_context(&head.context),
            end: head.end.map(pack_end).unwrap_or_default(),
            imported_from: head.imported_from.map(pack_imported_from).unwrap_or_default(),
        }
    }

    /// Reads a head; nothing if the bytes are none.
    pub(super) fn unpack(&self) -> Option<Head> {
        let mut head = unpack_meta(&self.meta)?;
        head.access_time = Time::from_millis(u64::from_be_bytes(self.used.as_slice().try_into().ok()?));
        if !self.subject.is_empty() {
            head.subject = Some(Subject::parse(std::str::from_utf8(&self.subject).ok()?).ok()?);
        }
        if !self.previous.is_empty() {
            head.previous = Some(Box::new(unpack_previous(&self.previous)?));
        }
        if !self.end.is_empty() {
            head.end = Some(unpack_end(&self.end)?);
        }
        if !self.imported_from.is_empty() {
            head.imported_from = Some(unpack_imported_from(&self.imported_from)?);
        }
        head.idempotency = unpack_idempotency(&self.idempotency)?;
        head.context = unpack_context(&self.context)?;
        Some(head)
    }
}

/// How long [`EncodedHead::meta`] is.
pub(super) const META_BYTES: usize = 8 + 16 + 4 * 6 + 1 + 3 * 4;

fn pack_meta(head: &Head) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(META_BYTES);
    bytes.extend_from_slice(&head.version.0.to_be_bytes());
    bytes.extend_from_slice(head.verifier_hash.as_bytes());
    bytes.extend_from_slice(&u48_be(head.create_time.millis()));
    bytes.extend_from_slice(&u48_be(millis(head.idle_timeout)));
    bytes.extend_from_slice(&u48_be(head.deadline_time.millis()));
    bytes.extend_from_slice(&u48_be(head.authenticate_time.map_or(0, Time::millis)));
    bytes.push(pack_permanent(head.permanent));
    bytes.extend_from_slice(&head.entry_count.to_be_bytes());
    bytes.extend_from_slice(&head.entry_bytes.to_be_bytes());
    bytes.extend_from_slice(&head.generation.0.to_be_bytes());
    bytes
}

/// The byte that Flask's `_permanent` is kept as.
pub(super) const fn pack_permanent(permanent: Option<bool>) -> u8 {
    match permanent {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

fn unpack_meta(bytes: &[u8]) -> Option<Head> {
    let mut reader = ByteReader(bytes);
    let head = Head {
        version: Version(u64::from_be_bytes(reader.take()?)),
        verifier_hash: VerifierHash::from_bytes(reader.take()?),
        create_time: reader.time()?,
        idle_timeout: Duration::from_millis(reader.time()?.millis()),
        deadline_time: reader.time()?,
        authenticate_time: reader.time().map(|time| Some(time).filter(|time| time.millis() != 0))?,
        permanent: match reader.byte()? {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return None,
        },
        entry_count: u32::from_be_bytes(reader.take()?),
        entry_bytes: u32::from_be_bytes(reader.take()?),
        generation: Generation(u32::from_be_bytes(reader.take()?)),
        access_time: Time::default(),
        subject: None,
        previous: None,
        idempotency: IdempotencyRecords::default(),
        context: Context::default(),
        end: None,
        imported_from: None,
    };
    reader.0.is_empty().then_some(head)
}

/// Proof, nonce, key id, cause, grace, time; the fingerprint and the proof of the current one if there are such.
pub(super) fn pack_previous(previous: &PreviousToken) -> Vec<u8> {
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

/// Added to the cause if the proof of the token that was current stands at the end.
const HAS_CURRENT: u8 = 2;

fn unpack_previous(bytes: &[u8]) -> Option<PreviousToken> {
    let mut reader = ByteReader(bytes);
    let (verifier_hash, nonce, key_id) = (reader.take()?, reader.take()?, reader.take()?);
    let (cause, grace, time) = (reader.byte()?, reader.time()?, reader.time()?);
    let current = if cause & HAS_CURRENT == 0 { None } else { Some(reader.take_last()?) };
    Some(PreviousToken {
        verifier_hash: VerifierHash::from_bytes(verifier_hash),
        nonce: Nonce::from_bytes(nonce),
        key_id: KeyId::from_bytes(key_id),
        cause: match cause & !HAS_CURRENT {
            0 => ReplacementCause::Privilege,
            1 => ReplacementCause::Renewal { grace: Duration::from_millis(grace.millis()) },
            _ => return None,
        },
        time,
        fingerprint: if reader.0.is_empty() { None } else { Some(Fingerprint::from_bytes(reader.take()?)) },
        current: current.map(VerifierHash::from_bytes),
    })
}

fn unpack_idempotency(bytes: &[u8]) -> Option<IdempotencyRecords> {
    let (idempotency, rest) = bytes.as_chunks::<{ IdempotencyRecord::BYTES }>();
    if !rest.is_empty() {
        return None;
    }
    idempotency.iter().map(IdempotencyRecord::from_bytes).collect()
}

/// The length of the user agent, the user agent, the address.
pub(super) fn pack_context(context: &Context) -> Vec<u8> {
    if *context == Context::default() {
        return Vec::new();
    }
    let length = u16::try_from(context.user_agent.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(context.user_agent.as_bytes());
    bytes.extend_from_slice(context.remote_address.as_bytes());
    bytes
}

fn unpack_context(bytes: &[u8]) -> Option<Context> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return bytes.is_empty().then(Context::default) };
    let (user_agent, remote_address) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
    Some(Context { user_agent: text(user_agent)?, remote_address: text(remote_address)? })
}

/// The reason, the time.
pub(super) fn pack_end(end: End) -> Vec<u8> {
    let mut bytes = vec![end.reason as u8];
    bytes.extend_from_slice(&u48_be(end.time.millis()));
    bytes
}

fn unpack_end(bytes: &[u8]) -> Option<End> {
    let mut reader = ByteReader(bytes);
    Some(End { reason: EndReason::from_byte(reader.byte()?)?, time: reader.time()? })
}

/// When it was issued, zero if it does not say so; until when it is good.
fn pack_imported_from(imported_from: ImportedFrom) -> Vec<u8> {
    [u48_be(imported_from.issued.map_or(0, Time::millis)), u48_be(imported_from.until.millis())].concat()
}

fn unpack_imported_from(bytes: &[u8]) -> Option<ImportedFrom> {
    let mut reader = ByteReader(bytes);
    let issued = reader.time().map(|time| Some(time).filter(|time| time.millis() != 0))?;
    Some(ImportedFrom { issued, until: reader.time()? })
}

/// A revocation's times, and the session that it spares, if there is one.
pub(super) fn pack_revocation(revocation: &Revocation) -> Vec<u8> {
    let mut bytes = [u48_be(revocation.time.millis()), u48_be(revocation.until.millis())].concat();
    bytes.extend(revocation.except.iter().flat_map(SessionId::as_bytes));
    bytes
}

pub(super) fn unpack_revocation(bytes: &[u8]) -> Option<Revocation> {
    let mut reader = ByteReader(bytes);
    let (time, until) = (reader.time()?, reader.time()?);
    let except = if reader.0.is_empty() { None } else { Some(SessionId::from_bytes(reader.take()?)) };
    Some(Revocation { time, until, except })
}

/// An index entry's times.
pub(super) fn pack_entry(entry: &IndexEntry) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..6].copy_from_slice(&u48_be(entry.entered.millis()));
    bytes[6..].copy_from_slice(&u48_be(entry.until.millis()));
    bytes
}

pub(super) fn unpack_entry(id: &[u8], times: &[u8]) -> Option<IndexEntry> {
    let mut reader = ByteReader(times);
    Some(IndexEntry { id: SessionId::from_bytes(id.try_into().ok()?), entered: reader.time()?, until: reader.time()? })
}

/// A notice: the time alone tells of all sessions; of one tell its happening, the time and its id.
pub(super) fn pack_feed_entry(notice: &FeedEntry) -> Vec<u8> {
    match notice {
        FeedEntry::AppRevoked { time } => u48_be(time.millis()).to_vec(),
        FeedEntry::Session(Event { id, kind, time }) => {
            let mut bytes = vec![kind.to_byte()];
            bytes.extend_from_slice(&u48_be(time.millis()));
            bytes.extend_from_slice(id.as_bytes());
            bytes
        }
    }
}

pub(super) fn unpack_feed_entry(bytes: &[u8]) -> Option<FeedEntry> {
    let mut reader = ByteReader(bytes);
    if bytes.len() == 6 {
        return Some(FeedEntry::AppRevoked { time: reader.time()? });
    }
    let (kind, time, id) =
        (EventKind::from_byte(reader.byte()?)?, reader.time()?, SessionId::from_bytes(reader.take()?));
    Some(FeedEntry::Session(Event { id, kind, time }))
}

/// What tells an app's cursors in its feed from those of another app.
pub(super) fn feed_tag(app: &AppName) -> [u8; 8] {
    let mut tag = [0; 8];
    tag.copy_from_slice(&Sha256::digest(app.as_bytes())[..8]);
    tag
}

/// What stands for an owner in a key: a hash, so that no key tells who it is.
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

/// The lower six bytes of a number, big end first: enough for milliseconds until the year 10889.
pub(super) fn u48_be(number: u64) -> [u8; 6] {
    let [_, _, rest @ ..] = number.to_be_bytes();
    rest
}

/// A time span in whole milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(Time::MAX.millis())
}

struct ByteReader<'b>(&'b [u8]);

impl ByteReader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn take_last<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (rest, last) = self.0.split_last_chunk()?;
        self.0 = rest;
        Some(*last)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn time(&mut self) -> Option<Time> {
        let [a, b, c, d, e, f] = self.take()?;
        Some(Time::from_millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
    }
}
