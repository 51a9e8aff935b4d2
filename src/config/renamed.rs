//! Settings that were renamed: the old name is refused with the new one.

use super::ConfigKey;

/// Returns the new name of a setting or table that was renamed. `None` for any other key.
pub(super) fn new_name(key: &ConfigKey) -> Option<&'static str> {
    let is_key = |old: &str| {
        let old = ConfigKey::from(old);
        old.names().len() == key.names().len()
            && old.names().iter().zip(key.names()).all(|(old, name)| old == ANY_APP || old == name)
    };
    RENAMED.iter().find(|(old, _)| is_key(old)).map(|(_, new)| *new)
}

/// Old keys, each with the new last name.
const RENAMED: [(&str, &str); 5] = [
    ("server.preface_timeout", "first_request_timeout"),
    ("server.drain_pause", "shutdown_delay"),
    ("server.store_silence", "store_unhealthy_after"),
    ("apps.*.when_full", "on_session_limit"),
    ("apps.*.accept", "migrate"),
];

const ANY_APP: &str = "*";
