//! Files of secrets: one a line, newest first; empty lines and lines that begin with `#` do not count.
//!
//! Made for secrets that an orchestrator mounts, so who may read the file is not judged here.

use std::io::{self, Read};
use std::path::Path;

use super::Secret;

/// The secrets in a file, in its order.
pub fn read(path: &Path) -> io::Result<Vec<Secret>> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(parse(&text))
}

/// The secrets in such a text.
pub(super) fn parse(text: &str) -> Vec<Secret> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Secret::from(line.to_owned())).collect()
}

/// Far more than all keys of an app; a path such as /dev/zero ends here.
const MAX_BYTES: u64 = 64 * 1024;
