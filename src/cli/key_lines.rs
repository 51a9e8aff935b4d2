//! Reads a file of keys, one on each line. Lines that begin with `#` are comments.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::CliError;
use crate::age::KeyError;

/// Reads the keys of a file. An error names the line, and never the text, which may be secret.
pub(super) fn read<K>(path: &Path, parse: impl Fn(&str) -> Result<K, KeyError>) -> Result<Vec<K>, CliError> {
    let failed = |why: String| CliError::Failed(format!("{}: {why}", path.display()).into());
    let text = text(path).map_err(|error| failed(format!("it cannot be read: {error}")))?;
    let mut keys = Vec::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(parse(line).map_err(|error| failed(format!("line {number}: {error}")))?);
        }
    }
    Ok(keys)
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Enough for thousands of keys.
const MAX_BYTES: u64 = 1024 * 1024;
