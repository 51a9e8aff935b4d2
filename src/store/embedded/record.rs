//! A record in the bytes that the file keeps.
//!
//! A byte of version, the parts of the packed head in their order, each with its length before it, and the
//! packed entries to the end. Only an imported session has a part for its origin, and says so by its version. Bytes that are no record are answered with nothing.

use crate::session::{Entries, Head, Record};
use crate::store::encoding::EncodedHead;

/// The bytes of a record.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let EncodedHead { meta, used, subject, previous, idempotency, context, end, imported_from } =
        EncodedHead::pack(&record.head);
    let (version, imported_from) =
        if imported_from.is_empty() { (VERSION, None) } else { (WITH_IMPORTED_FROM, Some(imported_from)) };
    let parts = [
        Some(meta),
        Some(used),
        Some(subject),
        Some(previous),
        Some(idempotency),
        Some(context),
        Some(end),
        imported_from,
    ];
    let parts: Vec<Vec<u8>> = parts.into_iter().flatten().collect();
    let entries = record.entries.packed();
    let size = parts.iter().map(|part| LENGTH_BYTES + part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(1 + size + entries.len());
    bytes.push(version);
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
    if version != VERSION && version != WITH_IMPORTED_FROM {
        return None;
    }
    let mut part = || {
        let (length, behind) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = behind;
        Some(part.to_vec())
    };
    let packed = EncodedHead {
        meta: part()?,
        used: part()?,
        subject: part()?,
        previous: part()?,
        idempotency: part()?,
        context: part()?,
        end: part()?,
        imported_from: if version == WITH_IMPORTED_FROM { part()? } else { Vec::new() },
    };
    Some((packed.unpack()?, rest))
}

const VERSION: u8 = 1;
const WITH_IMPORTED_FROM: u8 = 2;
const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::{
        Context, End, EndReason, Fingerprint, Generation, IdempotencyRecord, IdempotencyRecords, ImportedFrom,
        PreviousToken, ReplacementCause, Subject, Version, WriteEffect,
    };
    use crate::token::{KeyId, Nonce, VerifierHash};
    use crate::types::Time;

    /// A record that has something in every part.
    fn record() -> Record {
        let entries = Entries::pack([("a", b"1".as_slice()), ("b", &[0, 255])]);
        let fingerprint = Fingerprint::new(b"request", b"asked");
        let time = Time::from_millis(1_800_000_000_123);
        let previous = PreviousToken {
            verifier_hash: VerifierHash::from_bytes([2; 16]),
            nonce: Nonce::from_bytes([3; 16]),
            key_id: KeyId::from_bytes([4; 6]),
            cause: ReplacementCause::Renewal { grace: Duration::from_secs(30) },
            time,
            fingerprint: Some(fingerprint),
            current: Some(VerifierHash::from_bytes([5; 16])),
        };
        let head = Head {
            version: Version(7),
            verifier_hash: VerifierHash::from_bytes([1; 16]),
            create_time: time,
            access_time: time,
            authenticate_time: Some(time),
            idle_timeout: Duration::from_secs(3600),
            deadline_time: Time::MAX,
            permanent: Some(true),
            generation: Generation(3),
            entry_count: entries.count(),
            entry_bytes: entries.bytes(),
            subject: Some(Subject::parse("anna").unwrap()),
            previous: Some(Box::new(previous)),
            idempotency: (0..16)
                .map(|_| IdempotencyRecord { fingerprint, time, effect: WriteEffect::Updated })
                .collect::<IdempotencyRecords>(),
            context: Context { user_agent: "Browser/1.0".into(), remote_address: "192.0.2.1".into() },
            end: Some(End { reason: EndReason::Revoked, time }),
            imported_from: None,
        };
        Record { head, entries }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let bytes = encode(&record());

        assert_eq!(decode(&bytes), Some(record()));
        assert_eq!(decode_head(&bytes), Some(record().head));
    }

    #[test]
    fn an_imported_record_comes_back_as_it_was() {
        let until = Time::from_millis(1_900_000_000_000);
        for issued in [None, Some(Time::from_millis(1_700_000_000_000))] {
            let mut record = record();
            record.head.imported_from = Some(ImportedFrom { issued, until });

            assert_eq!(decode(&encode(&record)), Some(record));
        }
    }

    #[test]
    fn a_record_that_is_cut_short_is_none() {
        let bytes = encode(&record());
        let head = bytes.len() - record().entries.packed().len();
        let first_entry = head + 6 + "a1".len();

        for length in 0..bytes.len() {
            let is_whole = length == head || length == first_entry;
            assert_eq!(decode(&bytes[..length]).is_some(), is_whole, "{length} bytes");
        }
    }

    #[test]
    fn another_version_is_none() {
        let mut bytes = encode(&record());
        bytes[0] = WITH_IMPORTED_FROM + 1;

        assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn whatever_a_byte_becomes_nothing_panics() {
        let bytes = encode(&record());

        for session_key in 0..bytes.len() {
            for value in [0, 1, 127, 128, 255, bytes[session_key] ^ 1] {
                let mut bytes = bytes.clone();
                bytes[session_key] = value;
                if let Some(record) = decode(&bytes) {
                    assert_eq!(decode(&encode(&record)), Some(record));
                }
            }
        }
    }
}
