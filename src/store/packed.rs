//! The head of a session in bytes: what the stores that write to disk or wire keep.
//!
//! Fixed places and big-endian numbers, so that a script can compare and change them too. The version
//! stands in the first eight bytes of [`Packed::meta`]; `redis/*.lua` unpacks the same layout.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Entry, Notice, Owner, Revocation};
use crate::app::AppName;
use crate::clock::Time;
use crate::session::{
    Cause, Context, End, EndReason, Event, Fingerprint, Generation, Happening, Head, Mark, Marks, Origin, Previous,
    Subject, Version,
};
use crate::token::{Id, KeyId, Nonce, Proof};

/// A head in bytes. Parts that say nothing are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    /// Version, proof, times, permanent, sizes, generation: [`META_BYTES`].
    pub(super) meta: Vec<u8>,
    /// Time of last use: eight bytes.
    pub(super) used: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) previous: Vec<u8>,
    pub(super) marks: Vec<u8>,
    pub(super) context: Vec<u8>,
    pub(super) end: Vec<u8>,
    pub(super) origin: Vec<u8>,
}

impl Packed {
    pub(super) fn pack(head: &Head) -> Self {
        Self {
            meta: pack_meta(head),
            used: head.access_time.millis().to_be_bytes().to_vec(),
            subject: head.subject.as_ref().map(|subject| subject.as_str().as_bytes().to_vec()).unwrap_or_default(),
            previous: head.previous.as_deref().map(pack_previous).unwrap_or_default(),
            marks: head.marks.iter().flat_map(|mark| mark.to_bytes()).collect(),
            context: pack_context(&head.context),
            end: head.end.map(pack_end).unwrap_or_default(),
            origin: head.origin.map(pack_origin).unwrap_or_default(),
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
        if !self.origin.is_empty() {
            head.origin = Some(unpack_origin(&self.origin)?);
        }
        head.marks = unpack_marks(&self.marks)?;
        head.context = unpack_context(&self.context)?;
        Some(head)
    }
}

/// How long [`Packed::meta`] is.
pub(super) const META_BYTES: usize = 8 + 16 + 4 * 6 + 1 + 3 * 4;

fn pack_meta(head: &Head) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(META_BYTES);
    bytes.extend_from_slice(&head.version.0.to_be_bytes());
    bytes.extend_from_slice(head.proof.as_bytes());
    bytes.extend_from_slice(&six(head.create_time.millis()));
    bytes.extend_from_slice(&six(millis(head.idle_timeout)));
    bytes.extend_from_slice(&six(head.deadline_time.millis()));
    bytes.extend_from_slice(&six(head.authenticate_time.map_or(0, Time::millis)));
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
    let mut reader = Reader(bytes);
    let head = Head {
        version: Version(u64::from_be_bytes(reader.take()?)),
        proof: Proof::from_bytes(reader.take()?),
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
        marks: Marks::default(),
        context: Context::default(),
        end: None,
        origin: None,
    };
    reader.0.is_empty().then_some(head)
}

/// Proof, nonce, key id, cause, grace, time; the fingerprint and the proof of the current one if there are such.
pub(super) fn pack_previous(previous: &Previous) -> Vec<u8> {
    let (cause, grace) = match previous.cause {
        Cause::Privilege => (0, Duration::ZERO),
        Cause::Renewal { grace } => (1, grace),
    };
    let mut bytes = Vec::with_capacity(83);
    bytes.extend_from_slice(previous.proof.as_bytes());
    bytes.extend_from_slice(previous.nonce.as_bytes());
    bytes.extend_from_slice(previous.key_id.as_bytes());
    bytes.push(cause + if previous.current.is_some() { HAS_CURRENT } else { 0 });
    bytes.extend_from_slice(&six(millis(grace)));
    bytes.extend_from_slice(&six(previous.time.millis()));
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

fn unpack_previous(bytes: &[u8]) -> Option<Previous> {
    let mut reader = Reader(bytes);
    let (proof, nonce, key_id) = (reader.take()?, reader.take()?, reader.take()?);
    let (cause, grace, time) = (reader.byte()?, reader.time()?, reader.time()?);
    let current = if cause & HAS_CURRENT == 0 { None } else { Some(reader.take_last()?) };
    Some(Previous {
        proof: Proof::from_bytes(proof),
        nonce: Nonce::from_bytes(nonce),
        key_id: KeyId::from_bytes(key_id),
        cause: match cause & !HAS_CURRENT {
            0 => Cause::Privilege,
            1 => Cause::Renewal { grace: Duration::from_millis(grace.millis()) },
            _ => return None,
        },
        time,
        fingerprint: if reader.0.is_empty() { None } else { Some(Fingerprint::from_bytes(reader.take()?)) },
        current: current.map(Proof::from_bytes),
    })
}

fn unpack_marks(bytes: &[u8]) -> Option<Marks> {
    let (marks, rest) = bytes.as_chunks::<{ Mark::BYTES }>();
    if !rest.is_empty() {
        return None;
    }
    marks.iter().map(Mark::from_bytes).collect()
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
    bytes.extend_from_slice(&six(end.time.millis()));
    bytes
}

fn unpack_end(bytes: &[u8]) -> Option<End> {
    let mut reader = Reader(bytes);
    Some(End { reason: EndReason::from_byte(reader.byte()?)?, time: reader.time()? })
}

/// When it was issued, zero if it does not say so; until when it is good.
fn pack_origin(origin: Origin) -> Vec<u8> {
    [six(origin.issued.map_or(0, Time::millis)), six(origin.until.millis())].concat()
}

fn unpack_origin(bytes: &[u8]) -> Option<Origin> {
    let mut reader = Reader(bytes);
    let issued = reader.time().map(|time| Some(time).filter(|time| time.millis() != 0))?;
    Some(Origin { issued, until: reader.time()? })
}

/// A revocation's times, and the session that it spares, if there is one.
pub(super) fn pack_revocation(revocation: &Revocation) -> Vec<u8> {
    let mut bytes = [six(revocation.time.millis()), six(revocation.until.millis())].concat();
    bytes.extend(revocation.except.iter().flat_map(Id::as_bytes));
    bytes
}

pub(super) fn unpack_revocation(bytes: &[u8]) -> Option<Revocation> {
    let mut reader = Reader(bytes);
    let (time, until) = (reader.time()?, reader.time()?);
    let except = if reader.0.is_empty() { None } else { Some(Id::from_bytes(reader.take()?)) };
    Some(Revocation { time, until, except })
}

/// An index entry's times.
pub(super) fn pack_entry(entry: &Entry) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..6].copy_from_slice(&six(entry.entered.millis()));
    bytes[6..].copy_from_slice(&six(entry.until.millis()));
    bytes
}

pub(super) fn unpack_entry(id: &[u8], times: &[u8]) -> Option<Entry> {
    let mut reader = Reader(times);
    Some(Entry { id: Id::from_bytes(id.try_into().ok()?), entered: reader.time()?, until: reader.time()? })
}

/// A notice: the time alone tells of all sessions; of one tell its happening, the time and its id.
pub(super) fn pack_notice(notice: &Notice) -> Vec<u8> {
    match notice {
        Notice::AppRevoked { time } => six(time.millis()).to_vec(),
        Notice::Session(Event { id, happening, time }) => {
            let mut bytes = vec![happening.to_byte()];
            bytes.extend_from_slice(&six(time.millis()));
            bytes.extend_from_slice(id.as_bytes());
            bytes
        }
    }
}

pub(super) fn unpack_notice(bytes: &[u8]) -> Option<Notice> {
    let mut reader = Reader(bytes);
    if bytes.len() == 6 {
        return Some(Notice::AppRevoked { time: reader.time()? });
    }
    let (happening, time, id) = (Happening::from_byte(reader.byte()?)?, reader.time()?, Id::from_bytes(reader.take()?));
    Some(Notice::Session(Event { id, happening, time }))
}

/// What tells an app's cursors in its feed from those of another app.
pub(super) fn feed_tag(app: &AppName) -> [u8; 8] {
    let mut tag = [0; 8];
    tag.copy_from_slice(&Sha256::digest(app.as_bytes())[..8]);
    tag
}

/// What stands for an owner in a key: a hash, so that no key tells who it is.
pub(super) fn owner_hash(owner: &Owner) -> [u8; 16] {
    let Owner { app, subject } = owner;
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
pub(super) fn six(number: u64) -> [u8; 6] {
    let [_, _, rest @ ..] = number.to_be_bytes();
    rest
}

/// A time span in whole milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(Time::MAX.millis())
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
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
