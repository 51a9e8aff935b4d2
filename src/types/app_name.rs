//! The name of an app, as used in requests, in signatures and in keys of the store.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// An app's name: 1 to 64 of `a-z`, `0-9`, `_` and `-`, the first a letter or a digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(Arc<str>);

impl AppName {
    /// The app that a request with an empty name means.
    pub const DEFAULT: &'static str = "default";

    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, AppNameError> {
        let is_alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_start_valid = text.bytes().next().is_some_and(is_alphanumeric);
        let is_rest_valid = text.bytes().all(|c| is_alphanumeric(c) || matches!(c, b'_' | b'-'));
        if is_start_valid && is_rest_valid && text.len() <= MAX_BYTES {
            Ok(Self(text.into()))
        } else {
            Err(AppNameError)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Borrow<str> for AppName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppName({self})")
    }
}

/// The text is not an app's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an app's name is 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or a digit")]
pub struct AppNameError;

const MAX_BYTES: usize = 64;
