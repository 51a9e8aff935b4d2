//! A record in the bytes that the file keeps.
//!
//! A byte of version, the parts of the packed head in their order, each with its length before it, and the
//! packed entries to the end. Bytes that are no record are answered with nothing.

use crate::session::{Entries, Head, Record};
use crate::store::packed::Packed;

/// The bytes of a record.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let Packed { meta, used, subject, previous, marks, context, end } = Packed::pack(&record.head);
    let parts = [meta, used, subject, previous, marks, context, end];
    let entries = record.entries.packed();
    let size = parts.iter().map(|part| LENGTH_BYTES + part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(1 + size + entries.len());
    bytes.push(VERSION);
    for part in parts {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&part);
    }
    bytes.extend_from_slice(entries);
    bytes
}

/// Reads a record.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let (head, entries) = split(bytes)?;
    Some(Record { head, entries: Entries::unpack(entries)? })
}

/// Reads the head alone.
pub(super) fn decode_head(bytes: &[u8]) -> Option<Head> {
    split(bytes).map(|(head, _)| head)
}

/// The head, and the bytes behind it.
fn split(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (&version, mut rest) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    let mut part = || {
        let (length, behind) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = behind;
        Some(part.to_vec())
    };
    let packed = Packed {
        meta: part()?,
        used: part()?,
        subject: part()?,
        previous: part()?,
        marks: part()?,
        context: part()?,
        end: part()?,
    };
    Some((packed.unpack()?, rest))
}

const VERSION: u8 = 1;
const LENGTH_BYTES: usize = 4;
