//! The scripts that run in Redis, one for each operation that has to compare before it writes.

use std::fmt::Write as _;
use std::time::Duration;

use redis::Cmd;
use sha1::{Digest as _, Sha1};

use crate::session::{IDEMPOTENCY_TTL, IdempotencyRecord, MAX_IDEMPOTENCY_RECORDS, PREVIOUS_TOKEN_TTL, TOMBSTONE_TTL};
use crate::store::encoding::{HEAD_FIELDS, META_BYTES, META_FORMAT, millis};

/// A script, which Redis knows by the hash of its source once it is loaded.
#[derive(Debug)]
pub(super) struct Script {
    source: String,
    hash: String,
}

impl Script {
    pub(super) fn new(source: String) -> Self {
        let mut hash = String::with_capacity(40);
        for byte in Sha1::digest(&source) {
            write!(hash, "{byte:02x}").expect("a String takes all text");
        }
        Self { source, hash }
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// The command that loads it.
    pub(super) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.source);
        command
    }
}

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) create: Script,
    /// Does what `edit` would do for most saves, at half the cost. See [`super::arguments::changes_for_set`].
    pub(super) set: Script,
    pub(super) edit: Script,
    pub(super) end: Script,
    pub(super) touch: Script,
    pub(super) revoke_app: Script,
    pub(super) add_to_index: Script,
    pub(super) list_index: Script,
    pub(super) remove_from_index: Script,
    pub(super) record_revocation: Script,
    pub(super) probe: Script,
    pub(super) restore: Script,
    pub(super) replace: Script,
    pub(super) restore_app_revocation: Script,
    pub(super) restore_revocation: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let (common, feed, tombstone) =
            (include_str!("common.lua"), include_str!("feed.lua"), include_str!("tombstone.lua"));
        Self {
            create: script(&[feed, include_str!("create.lua")]),
            set: script(&[common, include_str!("set_entries.lua")]),
            edit: script(&[common, feed, tombstone, include_str!("edit.lua")]),
            end: script(&[common, feed, tombstone, include_str!("end.lua")]),
            touch: script(&[include_str!("touch.lua")]),
            revoke_app: script(&[feed, include_str!("revoke_app.lua")]),
            add_to_index: script(&[include_str!("add_to_index.lua")]),
            list_index: script(&[include_str!("list_index.lua")]),
            remove_from_index: script(&[include_str!("remove_from_index.lua")]),
            record_revocation: script(&[include_str!("record_revocation.lua")]),
            probe: script(&[include_str!("probe.lua")]),
            restore: script(&[include_str!("restore.lua")]),
            replace: script(&[include_str!("replace.lua")]),
            restore_app_revocation: script(&[include_str!("restore_app_revocation.lua")]),
            restore_revocation: script(&[include_str!("restore_revocation.lua")]),
        }
    }
}

fn script(files: &[&str]) -> Script {
    Script::new(source(files))
}

/// Makes the text of one script of several files, with the values of the constants in place of their names.
fn source(files: &[&str]) -> String {
    constants().iter().fold(files.concat(), |source, (name, value)| source.replace(name, value))
}

/// The constants of the scripts. Literals cost a call nothing; a local for each would.
fn constants() -> [(&'static str, String); 10] {
    let record_bytes = IdempotencyRecord::BYTES;
    [
        ("HEAD_FIELDS", HEAD_FIELDS.map(|field| format!("'{}'", char::from(field))).join(", ")),
        ("META_FORMAT", format!("'{META_FORMAT}'")),
        ("META_BYTES", META_BYTES.to_string()),
        ("CORRUPT_ERROR", format!("redis.error_reply('{CORRUPT} the stored bytes are not a session')")),
        ("TOMBSTONE_TTL", millis(TOMBSTONE_TTL).to_string()),
        ("IDEMPOTENCY_TTL", millis(IDEMPOTENCY_TTL).to_string()),
        ("PREVIOUS_TOKEN_TTL", millis(PREVIOUS_TOKEN_TTL).to_string()),
        ("RECORD_BYTES", record_bytes.to_string()),
        ("RECORDS_BYTES", (MAX_IDEMPOTENCY_RECORDS * record_bytes).to_string()),
        ("EXPIRY_STEP", millis(EXPIRY_STEP).to_string()),
    ]
}

/// The code of the error by which a script says that what it has read is damaged.
pub(super) const CORRUPT: &str = "CORRUPT";

/// How much later than necessary a key expires. So a save need not move the expiry if one moved it in the same minute.
pub(super) const EXPIRY_STEP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_of_the_scripts_has_a_value() {
        let files = [
            include_str!("add_to_index.lua"),
            include_str!("common.lua"),
            include_str!("create.lua"),
            include_str!("edit.lua"),
            include_str!("end.lua"),
            include_str!("feed.lua"),
            include_str!("probe.lua"),
            include_str!("record_revocation.lua"),
            include_str!("remove_from_index.lua"),
            include_str!("restore.lua"),
            include_str!("restore_app_revocation.lua"),
            include_str!("restore_revocation.lua"),
            include_str!("revoke_app.lua"),
            include_str!("set_entries.lua"),
            include_str!("tombstone.lua"),
            include_str!("touch.lua"),
        ];
        let source = source(&files);

        let code = source.lines().filter_map(|line| line.split("--").next());
        let words = code.flat_map(|line| line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_'));
        let is_constant = |word: &&str| word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let unknown: Vec<&str> = words.filter(|word| word.len() > 3).filter(is_constant).collect();

        assert!(unknown.is_empty(), "without a value: {unknown:?}");
    }
}
