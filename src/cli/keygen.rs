//! `cloakroom keygen`: makes signing keys.

use clap::Args;

use super::{CliError, output};
use crate::token::Key;

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The number of keys to make, from 1 to 1000
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

impl KeygenArgs {
    /// Prints the keys to stdout, one a line, and to stderr how to use them.
    pub(super) fn run(&self) -> Result<(), CliError> {
        let keys = (0..self.count).map(|_| Key::generate()).collect::<Vec<_>>();
        output::print(&keys.join("\n"))?;
        output::print_note(HINT);
        Ok(())
    }
}

const HINT: &str = "\
Put a key where only the service can read it: a line of the file that apps.<name>.keys_file names,
CLOAKROOM__APPS__<NAME>__KEYS, or `keys` in [apps.<name>]. The first key signs and all verify: add a new
one after the old one everywhere, then move it to the front, and drop the old one when its sessions are over.";
