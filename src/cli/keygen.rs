//! `cloakroom keygen`: makes signing keys, and key pairs for encrypted exports.

use clap::Args;

use super::{CliError, output};
use crate::age::Identity;
use crate::token::Key;

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The number of keys to make, from 1 to 1000
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Make a key pair of age instead, for encrypted exports: an identity, with its public key in a comment
    #[arg(long, conflicts_with = "count")]
    age: bool,
}

impl KeygenArgs {
    /// Prints the keys to stdout, one a line, and to stderr how to use them.
    pub(super) fn run(&self) -> Result<(), CliError> {
        if self.age {
            return print_identity(&Identity::generate());
        }
        let keys = (0..self.count).map(|_| Key::generate()).collect::<Vec<_>>();
        output::print(&keys.join("\n"))?;
        output::print_note(HINT);
        Ok(())
    }
}

/// Prints an identity as `age-keygen` does.
fn print_identity(identity: &Identity) -> Result<(), CliError> {
    let recipient = identity.recipient();
    output::print(&format!("# public key: {recipient}\n{}", identity.expose()))?;
    output::print_note(&format!("Public key: {recipient}\n{AGE_HINT}"));
    Ok(())
}

const AGE_HINT: &str = "\
`cloakroom export --recipient` takes the public key, which is no secret, and `cloakroom import --identity` the
file with the identity. Keep that file away from the exports and their machine: it is all that it takes to
read them, and without it nobody can.";

const HINT: &str = "\
Put a key where only the service can read it: a line of the file that apps.<name>.keys_file names,
CLOAKROOM__APPS__<NAME>__KEYS, or `keys` in [apps.<name>]. The first key signs and all verify: add a new
one after the old one everywhere, then move it to the front, and drop the old one when its sessions are over.";
