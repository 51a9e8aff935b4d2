//! The common parts of the tables of several sources.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cookie;
use crate::types::{Secret, SettingError};

/// Returns the bytes of keys: text stands for its UTF-8 bytes, other bytes are written `base64:...`.
pub(super) fn key_bytes(setting: &str, keys: &[Secret]) -> Result<Vec<Vec<u8>>, SettingError> {
    let bytes = |key: &Secret| match key.expose().strip_prefix("base64:") {
        _ if matches!(key.expose(), "" | "base64:") => {
            Err(SettingError::new(setting, "a key is empty: anybody could sign with it"))
        }
        Some(text) => {
            STANDARD.decode(text).map_err(|_| SettingError::new(setting, "a key after `base64:` is not base64"))
        }
        None => Ok(key.expose().as_bytes().to_vec()),
    };
    keys.iter().map(bytes).collect()
}

/// The source of a table without a url: none, if the table has no other settings either.
pub(super) fn without_url<S: Default + PartialEq, T>(settings: &S, redis: &str) -> Result<Option<T>, SettingError> {
    if *settings == S::default() {
        return Ok(None);
    }
    let error = format!("it has to name {redis}, because there are settings for its sessions");
    Err(SettingError::new("url", error))
}

pub(super) fn cookie_name(name: &str) -> Result<Option<cookie::Name>, SettingError> {
    if name.is_empty() {
        return Ok(None);
    }
    cookie::Name::parse(name).map(Some).map_err(|error| SettingError::new("cookie_name", error))
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
