//! Files of secrets: one on each line, newest first. Empty lines and lines that begin with `#` do not count.
//!
//! The mode of the file is not checked, because an orchestrator sets it where it mounts secrets.

use std::io;
use std::path::Path;

use super::WatchedFiles;
use crate::types::Secret;

/// Reads the secrets in a file, in its order.
pub fn read(path: &Path, files: &WatchedFiles) -> io::Result<Vec<Secret>> {
    files.read(path).map(|text| parse(&text))
}

/// Returns the secrets in the text of such a file.
pub(super) fn parse(text: &str) -> Vec<Secret> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Secret::from(line.to_owned())).collect()
}
