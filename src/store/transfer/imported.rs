//! The rules of an import: as what a record is written, and its entry in the index.

use std::time::Duration;

use crate::session::{ImportedFrom, Record, TOMBSTONE_TTL};
use crate::store::IndexEntry;
use crate::token::SessionId;
use crate::types::Time;

/// The settings of an app that an import has to know.
#[derive(Clone, Copy, Debug)]
pub struct ImportApp {
    /// How long a session may live from its creation on.
    pub absolute_timeout: Duration,
}

/// The entry of a session in the index: it expires when the session does at the latest, however often it is saved.
pub(in crate::store) fn index_entry(id: SessionId, record: &Record, app: &ImportApp, now: Time) -> IndexEntry {
    let until = record.head.deadline_time.max(record.head.create_time + app.absolute_timeout);
    IndexEntry { id, add_time: now, until }
}

/// The record as it is imported.
///
/// Its end has to be remembered for as long as an export may have it alive: otherwise a second import of that export
/// would bring it back.
pub(in crate::store) fn imported_record(mut record: Record) -> Record {
    let until = record.head.deadline_time + TOMBSTONE_TTL;
    let legacy = record.head.imported_from;
    record.head.imported_from = Some(ImportedFrom {
        issued: legacy.and_then(|legacy| legacy.issued),
        until: legacy.map_or(until, |legacy| legacy.until.max(until)),
    });
    record
}
