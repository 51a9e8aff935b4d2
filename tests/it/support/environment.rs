//! Knobs: how long a test runs, where that is its caller's choice.

use std::str::FromStr;

/// What the environment says; nothing: the usual.
#[expect(clippy::disallowed_methods, reason = "how long a test runs, and which story it tells, is its caller's choice")]
pub(crate) fn knob<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How often each race is run: as often as `CLOAKROOM_TEST_RACES` says.
pub(crate) fn races(usual: u32) -> u32 {
    knob("CLOAKROOM_TEST_RACES").unwrap_or(usual)
}
