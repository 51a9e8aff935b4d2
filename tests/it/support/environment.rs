//! Environment variables that set how long a test runs, and with which seed.

use std::str::FromStr;

/// Reads a number from an environment variable; `None` if it is not set.
#[expect(clippy::disallowed_methods, reason = "the caller of a test chooses its length and its seed")]
pub(crate) fn number<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Reads a text from an environment variable; `None` if it is not set.
#[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses how they call")]
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the number of rounds of a race: `CLOAKROOM_TEST_RACES`, or else `default`.
pub(crate) fn race_rounds(default: u32) -> u32 {
    number("CLOAKROOM_TEST_RACES").unwrap_or(default)
}
