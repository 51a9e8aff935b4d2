//! Sessions for a store, as a service would keep them there.

use std::time::Duration;

use cloakroom::session::{
    Authority, Changes, Edit, Entries, Head, Limits, Precondition, Record, Rotation, Value, Version, WhenEmpty,
};
use cloakroom::store::{SessionKey, Write};
use cloakroom::token::{SessionId, VerifierHash};
use cloakroom::types::{AppName, Clock as _, SystemClock, Time};

/// Makes the place of the n-th session of the app.
pub(crate) fn place(app: &AppName, n: u64) -> SessionKey {
    let mut id = [0; 16];
    // Spread as ids are, which are hashes.
    id[..8].copy_from_slice(&n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&n.wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
    SessionKey { app: app.clone(), id: SessionId::from_bytes(id) }
}

/// A session of four entries that have so many bytes in all, names included.
pub(crate) fn record(bytes: usize) -> Record {
    let value = json(bytes / NAMES.len() - NAMES[0].len());
    let entries = Entries::pack(NAMES.map(|name| (name, value.as_bytes())));
    let head = Head {
        version: Version(1),
        entry_count: entries.count(),
        entry_bytes: entries.bytes(),
        ..Head::new(PROOF, now(), HOUR, 24 * HOUR)
    };
    Record { head, entries }
}

/// A save that replaces one of its entries by another one of the same size.
pub(crate) fn save(bytes: usize) -> Result<Write, cloakroom::session::ValueError> {
    let value = Value::json(json(bytes / NAMES.len() - NAMES[0].len()))?;
    let changes = Changes { set: [(NAMES[0].to_owned(), value)].into(), ..Changes::default() };
    Ok(Write::Edit(Box::new(Edit {
        changes: Some(changes),
        lifetime: None,
        lifetime_limits: None,
        rotation: Rotation::Keep,
        when_empty: WhenEmpty::Delete,
        limits: Limits { max_entries: 256, max_bytes: 64 * 1024 },
        context: None,
    })))
}

/// By the session's token, now.
pub(crate) fn precondition() -> Precondition {
    Precondition { authority: Authority::Token(PROOF), etag: None, fingerprint: None, now: now() }
}

fn now() -> Time {
    SystemClock.now()
}

fn json(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

const NAMES: [&str; 4] = ["entry-1", "entry-2", "entry-3", "entry-4"];

const PROOF: VerifierHash = VerifierHash::from_bytes([7; 16]);

const HOUR: Duration = Duration::from_secs(60 * 60);
