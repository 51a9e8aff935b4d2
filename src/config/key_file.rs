//! Files of secrets: one a line, newest first; empty lines and lines that begin with `#` do not count.
//!
//! Made for secrets that an orchestrator mounts, so who may read the file is not judged here.

use std::io;
use std::path::Path;

use super::WatchedFiles;
use crate::types::Secret;

/// The secrets in a file, in its order.
pub fn read(path: &Path, files: &WatchedFiles) -> io::Result<Vec<Secret>> {
    files.read(path).map(|text| parse(&text))
}

/// The secrets in such a text.
pub(super) fn parse(text: &str) -> Vec<Secret> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Secret::from(line.to_owned())).collect()
}
