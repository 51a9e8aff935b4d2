//! The version of a session, and the generation of its app.

use std::fmt;

/// A session's version, which clients see as its etag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    /// The version of a session that was never saved.
    pub const NEW: Self = Self(0);

    /// A version that no session ever has: with it as its etag, a call writes nothing.
    pub const IMPOSSIBLE: Self = Self(u64::MAX);

    /// The version after one more save.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Reads an etag; `None` if it is not one that the service could have written.
    pub fn parse(etag: &str) -> Option<Self> {
        let number = etag.parse::<u64>().ok()?;
        (number.to_string() == etag && number < 1 << 53).then_some(Self(number))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of times that all sessions of an app have been revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u32);
