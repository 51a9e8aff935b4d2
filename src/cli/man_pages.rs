//! `cloakroom man-pages`: a man page for each command, from the texts of its help.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::{Cli, CliError};

#[derive(Debug, Args)]
pub(super) struct ManPagesArgs {
    /// The folder, which has to exist
    folder: PathBuf,
}

impl ManPagesArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        Ok(clap_mangen::generate_to(Cli::command(), &self.folder)?)
    }
}
