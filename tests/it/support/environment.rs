//! Environment variables that set how long a test runs, and with which seed.

use std::str::FromStr;

use proptest::test_runner::{Config, TestRunner};

/// Reads a number from an environment variable; `None` if it is not set.
#[expect(clippy::disallowed_methods, reason = "the caller of a test chooses its length and its seed")]
pub(crate) fn number<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Returns a runner of a property test: it has `PROPTEST_CASES` cases, or else `default`.
pub(crate) fn runner(default: u32) -> TestRunner {
    TestRunner::new(Config { cases: number("PROPTEST_CASES").unwrap_or(default), ..Config::default() })
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
