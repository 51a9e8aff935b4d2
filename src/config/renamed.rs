//! Settings that were renamed: the old name is refused with the new one.

use super::ConfigKey;

/// The present name of a setting that was renamed; `None` for any other key.
pub(super) fn new_name(key: &ConfigKey) -> Option<&'static str> {
    let names = key.names();
    let matches = |old: &str| {
        let old = old.split('.').collect::<Vec<_>>();
        old.len() == names.len() && old.iter().zip(names).all(|(old, name)| *old == ANY || old == name)
    };
    RENAMED.iter().find(|(old, _)| matches(old)).map(|(_, new)| *new)
}

/// Old keys, and the last part of the new ones.
const RENAMED: [(&str, &str); 5] = [
    ("server.preface_timeout", "first_request_timeout"),
    ("server.drain_pause", "shutdown_delay"),
    ("server.store_silence", "store_unhealthy_after"),
    ("apps.*.when_full", "on_session_limit"),
    ("apps.*.accept", "migrate"),
];

/// Stands for the name of an app.
const ANY: &str = "*";
