//! To whom an export is encrypted.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::age::{KeyError, Recipient};
use crate::cli::{CliError, key_lines};

#[derive(Debug, Args)]
pub(super) struct RecipientArgs {
    /// Encrypt the file to this public key of age, age1…; may be repeated, and each identity alone opens the file
    #[arg(long = "recipient", value_name = "PUBLIC KEY")]
    recipients: Vec<String>,
    /// Encrypt the file to the public keys in this file, one on each line; may be repeated
    #[arg(long = "recipients-file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl RecipientArgs {
    /// Reads all of them; none if the file is not to be encrypted.
    pub(super) fn recipients(&self) -> Result<Vec<Recipient>, CliError> {
        let mut recipients = self.recipients.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        for file in &self.files {
            recipients.extend(read(file)?);
        }
        Ok(recipients)
    }
}

fn parse(text: &str) -> Result<Recipient, CliError> {
    // The text is left out if it is secret.
    let named = |error| match error {
        KeyError::IdentityAsRecipient => format!("--recipient: {error}"),
        error => format!("--recipient {text}: {error}"),
    };
    Recipient::parse(text).map_err(|error| CliError::Failed(named(error).into()))
}

fn read(file: &Path) -> Result<Vec<Recipient>, CliError> {
    let recipients = key_lines::read(file, Recipient::parse)?;
    if recipients.is_empty() {
        return Err(CliError::Failed(format!("{}: it has no recipient; write age1… on a line", file.display()).into()));
    }
    Ok(recipients)
}
