//! `cloakroom version`: the version, and the facts of its build that `build.rs` has found out.

use super::{CliError, output};

pub(super) fn run() -> Result<(), CliError> {
    Ok(output::print(FACTS)?)
}

/// A line for each fact.
pub(super) const FACTS: &str = concat!(
    "cloakroom ",
    env!("CARGO_PKG_VERSION"),
    "\ncommit   ",
    env!("CLOAKROOM_BUILD_COMMIT"),
    "\nprofile  ",
    env!("CLOAKROOM_BUILD_PROFILE"),
    "\ntarget   ",
    env!("CLOAKROOM_BUILD_TARGET"),
    "\ncompiler ",
    env!("CLOAKROOM_BUILD_RUSTC"),
);
