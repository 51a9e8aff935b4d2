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
pub struct WatchedFiles(Arc<Mutex<BTreeMap<PathBuf, FileState>>>);

/// What was seen at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FileState {
    /// A file with these bytes.
    File([u8; 32]),
    /// A pipe or a device, which may be read only once.
    Other,
    /// Nothing that can be read.
    Unreadable(io::ErrorKind),
}

impl WatchedFiles {
    /// The text of a file, which from now on is one of these.
    pub fn read(&self, path: &Path) -> io::Result<String> {
        let bytes = bytes(path);
        let seen = if is_other(path) { FileState::Other } else { FileState::of(&bytes) };
        self.0.lock().insert(path.to_owned(), seen);
        String::from_utf8(bytes?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    }

    /// Makes a file one of these, be it there or not, as it is now.
    pub fn watch(&self, path: &Path) {
        self.0.lock().insert(path.to_owned(), FileState::at(path));
    }

    /// The same files as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let paths: Vec<PathBuf> = self.0.lock().keys().cloned().collect();
        let now = paths.into_iter().map(|path| {
            let seen = FileState::at(&path);
            (path, seen)
        });
        Self(Arc::new(Mutex::new(now.collect())))
    }

    /// Whether both are the same files, and hold the same.
    pub fn are_same(&self, other: &Self) -> bool {
        let seen = self.0.lock().clone();
        seen == *other.0.lock()
    }
}

impl FileState {
    fn of(bytes: &io::Result<Vec<u8>>) -> Self {
        match bytes {
            Ok(bytes) => Self::File(Sha256::digest(bytes).into()),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }

    fn at(path: &Path) -> Self {
        if is_other(path) { Self::Other } else { Self::of(&bytes(path)) }
    }
}

/// Whether something is there that is no file. Never waits, as opening a pipe does.
fn is_other(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Far more than a configuration of thousands of apps; a path such as /dev/zero ends here.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_changed_is_the_same_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("text"), "a").unwrap();
        fs::write(path("bytes"), [0xff]).unwrap();
        let files = WatchedFiles::default();

        let read = ["text", "bytes", "missing", "."].map(|name| files.read(&path(name)).is_ok());
        files.watch(&path("watched"));

        assert_eq!(read, [true, false, false, false]);
        assert!(files.are_same(&files.again()));
        for name in ["text", "bytes", "missing", "watched"] {
            fs::write(path(name), "b").unwrap();
            assert!(!files.are_same(&files.again()), "{name}");
            files.watch(&path(name));
            assert!(files.are_same(&files.again()), "{name}");
        }
    }
}
