//! `cloakroom caller-token`: makes a token for a caller, and its hash for the service.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, output};
use crate::auth::{TokenHash, generate_token};

#[derive(Debug, Args)]
pub(super) struct CallerTokenArgs {
    /// Print the hash of the token in this file, and make no new token. Write - for standard input
    #[arg(long, value_name = "FILE")]
    hash: Option<PathBuf>,
}

impl CallerTokenArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        if let Some(file) = &self.hash {
            let failed = |why: &str| CliError::Failed(format!("--hash {}: {why}", file.display()).into());
            let text = read(file).map_err(|error| failed(&error.to_string()))?;
            let token = text.trim();
            if token.is_empty() {
                return Err(failed("it has no token"));
            }
            if text.len() as u64 > MAX_BYTES {
                return Err(failed(&format!("it is longer than {MAX_BYTES} bytes, and no token")));
            }
            return Ok(output::print(&TokenHash::of(token.as_bytes()).to_string())?);
        }
        let token = generate_token();
        output::print(&token)?;
        output::print_note(&format!("{HINT}{}", TokenHash::of(token.as_bytes())));
        Ok(())
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let source: &mut dyn Read = if file == Path::new("-") { &mut io::stdin() } else { &mut File::open(file)? };
    source.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    Ok(text)
}

const MAX_BYTES: u64 = 4096;

const HINT: &str = "\
The caller sends it as `authorization: Bearer <token>`, and has to protect it like a password. The service needs only
its hash, in token_hashes of [callers.<name>], or in a line of the file that token_hashes_file names:
";
