//! The files that a configuration is read from, and what stood in them.
//!
//! Told apart by what they hold, not by their times or inodes: an orchestrator swaps a folder of links under them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// What was seen in each file that was read. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Files(Arc<Mutex<BTreeMap<PathBuf, Seen>>>);

/// What was seen at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// A file with these bytes.
    File([u8; 32]),
    /// A pipe or a device, which may be read only once.
    Other,
    /// Nothing that can be read.
    Unreadable(io::ErrorKind),
}

impl Files {
    /// The text of a file, which from now on is one of these.
    pub fn read(&self, path: &Path) -> io::Result<String> {
        let text = text(path);
        let seen = match &text {
            Ok(_) if !is_file(path) => Seen::Other,
            Ok(text) => Seen::of(text.as_bytes()),
            Err(error) => Seen::Unreadable(error.kind()),
        };
        self.0.lock().insert(path.to_owned(), seen);
        text
    }

    /// Makes a file one of these, be it there or not, as it is now.
    pub fn watch(&self, path: &Path) {
        self.0.lock().insert(path.to_owned(), Seen::at(path));
    }

    /// The same files as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let paths: Vec<PathBuf> = self.0.lock().keys().cloned().collect();
        let now = paths.into_iter().map(|path| (Seen::at(&path), path)).map(|(seen, path)| (path, seen));
        Self(Arc::new(Mutex::new(now.collect())))
    }

    /// Whether both are the same files, and hold the same.
    pub fn are_same(&self, other: &Self) -> bool {
        let seen = self.0.lock().clone();
        seen == *other.0.lock()
    }
}

impl Seen {
    fn of(bytes: &[u8]) -> Self {
        Self::File(Sha256::digest(bytes).into())
    }

    fn at(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => Self::Other,
            Ok(_) => bytes(path).map_or_else(|error| Self::Unreadable(error.kind()), |bytes| Self::of(&bytes)),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Far more than a configuration of thousands of apps; a path such as /dev/zero ends here.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
