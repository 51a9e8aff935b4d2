//! Session keys, records and writes as the service makes them.

use std::time::Duration;

use cloakroom::session::{
    Authority, Changes, Edit, Entries, Head, LifetimeLimits, Lifetimes, Limits, Precondition, Record, Rotation, Value,
    Version, WhenEmpty,
};
use cloakroom::store::{SessionKey, Write};
use cloakroom::token::{SessionId, VerifierHash};
use cloakroom::types::{AppName, Clock as _, SystemClock, Time};

/// Returns the key of session `n`.
pub(crate) fn key(app: &AppName, n: u64) -> SessionKey {
    let mut id = [0; 16];
    // Spread evenly, as real ids are, which are hashes.
    id[..8].copy_from_slice(&n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&n.wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
    SessionKey { app: app.clone(), id: SessionId::from_bytes(id) }
}

/// A session with four entries. `bytes` is the size of all entries with their names.
pub(crate) fn record(bytes: usize) -> Record {
    let value = json(bytes / NAMES.len() - NAMES[0].len());
    let entries = Entries::pack(NAMES.map(|name| (name, value.as_bytes())));
    let head = Head {
        version: Version(1),
        entry_count: entries.count(),
        entry_bytes: entries.bytes(),
        ..Head::new(VERIFIER_HASH, now(), LIFETIMES.idle_timeout, LIFETIMES.absolute_timeout)
    };
    Record { head, entries }
}

/// A save that replaces one entry of [`record`] by one of the same size.
pub(crate) fn save(bytes: usize) -> Result<Write, cloakroom::session::ValueError> {
    let value = Value::json(json(bytes / NAMES.len() - NAMES[0].len()))?;
    let changes = Changes { set: [(NAMES[0].to_owned(), value)].into(), ..Changes::default() };
    Ok(Write::Edit(Box::new(Edit {
        changes: Some(changes),
        lifetime: None,
        lifetime_limits: LifetimeLimits { authenticated: LIFETIMES, anonymous: LIFETIMES },
        rotation: Rotation::Keep,
        when_empty: WhenEmpty::Delete,
        limits: Limits { max_entries: 256, max_bytes: 64 * 1024 },
        context: None,
    })))
}

/// The precondition of a save by the current token, now.
pub(crate) fn precondition() -> Precondition {
    Precondition { authority: Authority::Token(VERIFIER_HASH), etag: None, fingerprint: None, now: now() }
}

fn now() -> Time {
    SystemClock.now()
}

fn json(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

const NAMES: [&str; 4] = ["entry-1", "entry-2", "entry-3", "entry-4"];

const VERIFIER_HASH: VerifierHash = VerifierHash::from_bytes([7; 16]);

const HOUR: Duration = Duration::from_secs(60 * 60);
const LIFETIMES: Lifetimes = Lifetimes { idle_timeout: HOUR, absolute_timeout: Duration::from_secs(24 * 60 * 60) };
