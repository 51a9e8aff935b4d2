//! The files that a configuration is read from, and what was in them, so that changes are noticed.
//!
//! Contents are compared, not times or inodes, because an orchestrator swaps a whole folder of links.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// The files of a configuration, each with its state when it was last read. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct WatchedFiles(Arc<Mutex<BTreeMap<PathBuf, FileState>>>);

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FileState {
    /// A file. The SHA-256 of its bytes.
    File([u8; 32]),
    /// A pipe, a device or a folder. It is not compared, because a pipe can be read only once.
    NotAFile,
    /// The error of reading it, such as that it is missing.
    Unreadable(io::ErrorKind),
}

impl WatchedFiles {
    /// Reads the text of a file and adds the file, even if it cannot be read.
    pub fn read(&self, path: &Path) -> io::Result<String> {
        let bytes = read_bytes(path);
        let state = if is_not_a_file(path) { FileState::NotAFile } else { FileState::from_read(&bytes) };
        self.0.lock().insert(path.to_owned(), state);
        String::from_utf8(bytes?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    }

    /// Adds a file in its present state. It may be missing.
    pub fn watch(&self, path: &Path) {
        self.0.lock().insert(path.to_owned(), FileState::at(path));
    }

    /// Returns the same files in their present state. Reads from disk.
    #[must_use]
    pub fn again(&self) -> Self {
        let paths: Vec<PathBuf> = self.0.lock().keys().cloned().collect();
        let states = paths.into_iter().map(|path| {
            let state = FileState::at(&path);
            (path, state)
        });
        Self(Arc::new(Mutex::new(states.collect())))
    }

    /// Whether both have the same files in the same states.
    pub fn are_same(&self, other: &Self) -> bool {
        // Cloned, because `other` may share the lock.
        let states = self.0.lock().clone();
        states == *other.0.lock()
    }
}

impl FileState {
    fn from_read(bytes: &io::Result<Vec<u8>>) -> Self {
        match bytes {
            Ok(bytes) => Self::File(Sha256::digest(bytes).into()),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }

    fn at(path: &Path) -> Self {
        if is_not_a_file(path) { Self::NotAFile } else { Self::from_read(&read_bytes(path)) }
    }
}

/// Whether there is something other than a file. Does not open it, because opening a pipe waits for a writer.
fn is_not_a_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// Whether there is a pipe, which can be read only once.
pub(super) fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Far more than a configuration of thousands of apps. It ends the reading of a path such as `/dev/zero`.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_the_same_until_one_of_them_changes() {
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
