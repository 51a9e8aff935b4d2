//! The keys that open an encrypted export.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::age::Identity;
use crate::cli::{CliError, key_lines, output};

#[derive(Debug, Args)]
pub(super) struct IdentityArgs {
    /// Decrypt the file with the secret keys of age in this file, AGE-SECRET-KEY-1…; may be repeated. Not on the command
    /// line, where other users see them
    #[arg(long = "identity", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl IdentityArgs {
    /// Reads all of them; none if the export is not encrypted.
    pub(super) fn identities(&self) -> Result<Vec<Identity>, CliError> {
        let mut identities = Vec::new();
        for file in &self.files {
            let of_file = key_lines::read(file, Identity::parse)?;
            if of_file.is_empty() {
                let why = "it has no identity, a line that begins with AGE-SECRET-KEY-1";
                return Err(CliError::Failed(format!("{}: {why}", file.display()).into()));
            }
            warn_of_readers(file);
            identities.extend(of_file);
        }
        Ok(identities)
    }
}

/// Says so if everybody may read the file. It is no failure: Kubernetes mounts secrets like that.
fn warn_of_readers(file: &Path) {
    let Ok(metadata) = fs::metadata(file) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o004 != 0 {
        let file = file.display();
        output::print_note(&format!(
            "{file}: everybody on this machine may read this secret (mode {mode:o}); run: chmod 600 {file}"
        ));
    }
}
