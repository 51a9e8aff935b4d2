//! The bytes of a record, as the embedded store's file and exports have them.
//!
//! A byte with the version, the parts of the encoded head, each after its length in four bytes, and the packed entries
//! to the end. The version says how many parts there are; it is the lowest that has all parts that are not empty, so
//! that an older service can read every record that has nothing that it does not know.

use crate::session::{Entries, Head, Record};
use crate::store::encoding::{ByteReader, EncodedHead};

pub(super) fn encode(record: &Record) -> Vec<u8> {
    let EncodedHead(parts) = EncodedHead::encode(&record.head);
    let count = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1).max(FIRST_VERSION_PARTS);
    let parts = &parts[..count];
    let version = u8::try_from(count - FIRST_VERSION_PARTS + 1).unwrap_or(u8::MAX);
    let entries = record.entries.packed();
    let size = parts.iter().map(|part| size_of::<u32>() + part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(1 + size + entries.len());
    bytes.push(version);
    for part in parts {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(entries);
    bytes
}

/// Reads a record; `None` if the bytes are not one.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let (head, entries) = split(bytes)?;
    Some(Record { head, entries: Entries::unpack(entries)? })
}

/// Reads the head of a record without its entries.
pub(super) fn decode_head(bytes: &[u8]) -> Option<Head> {
    split(bytes).map(|(head, _)| head)
}

/// Returns the head, and the packed entries after it.
fn split(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let mut reader = ByteReader(bytes);
    let count = usize::from(reader.u8()?.checked_sub(1)?) + FIRST_VERSION_PARTS;
    let mut head = EncodedHead::default();
    for part in head.0.get_mut(..count)? {
        let length = reader.u32()?;
        *part = reader.slice(usize::try_from(length).ok()?)?.to_vec();
    }
    Some((head.decode()?, reader.0))
}

/// The parts of a record of version 1. Each later version has one more.
const FIRST_VERSION_PARTS: usize = 7;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::{
        End, EndReason, Fingerprint, Generation, IdempotencyRecord, IdempotencyRecords, ImportedFrom, PreviousToken,
        ReplacementCause, RequestContext, Subject, Version, WriteEffect,
    };
    use crate::store::encoding::HEAD_FIELDS;
    use crate::token::{KeyId, Nonce, VerifierHash};
    use crate::types::Time;

    /// A record in which every part of version 1 is not empty.
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
            context: RequestContext { user_agent: "Browser/1.0".into(), remote_address: "192.0.2.1".into() },
            end: Some(End { reason: EndReason::Revoked, time }),
            imported_from: None,
        };
        Record { head, entries }
    }

    #[test]
    fn a_record_is_decoded_as_it_was_encoded() {
        let bytes = encode(&record());

        assert_eq!(decode(&bytes), Some(record()));
        assert_eq!(decode_head(&bytes), Some(record().head));
    }

    #[test]
    fn an_imported_record_is_decoded_as_it_was_encoded() {
        let until = Time::from_millis(1_900_000_000_000);
        for issued in [None, Some(Time::from_millis(1_700_000_000_000))] {
            let mut record = record();
            record.head.imported_from = Some(ImportedFrom { issued, until });

            assert_eq!(decode(&encode(&record)), Some(record));
        }
    }

    #[test]
    fn a_truncated_record_is_not_decoded() {
        let bytes = encode(&record());
        let head = bytes.len() - record().entries.packed().len();
        let first_entry = head + 6 + "a1".len();

        for length in 0..bytes.len() {
            let is_whole = length == head || length == first_entry;
            assert_eq!(decode(&bytes[..length]).is_some(), is_whole, "{length} bytes");
        }
    }

    #[test]
    fn a_record_of_an_unknown_version_is_not_decoded() {
        let mut bytes = encode(&record());
        bytes[0] = u8::try_from(HEAD_FIELDS.len() - FIRST_VERSION_PARTS + 2).unwrap();

        assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn no_changed_byte_makes_decoding_panic() {
        let bytes = encode(&record());

        for index in 0..bytes.len() {
            for value in [0, 1, 127, 128, 255, bytes[index] ^ 1] {
                let mut bytes = bytes.clone();
                bytes[index] = value;
                if let Some(record) = decode(&bytes) {
                    assert_eq!(decode(&encode(&record)), Some(record));
                }
            }
        }
    }
}
