//! The files that a configuration is read from, and what was in them, so that changes are noticed.
//!
//! Contents are compared, not times or inodes, because an orchestrator swaps a whole folder of links.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::types::open_no_pipe;

/// The files of a configuration, each with its state when it was last read. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct WatchedFiles {
    states: Arc<Mutex<BTreeMap<PathBuf, FileState>>>,
    pipes: PipePolicy,
}

/// The policy for a pipe where a file is to be read.
#[derive(Clone, Copy, Debug, Default)]
enum PipePolicy {
    /// It is read, as long as its writer takes.
    #[default]
    Read,
    /// It is an error.
    Refuse,
}

/// The state of a path.
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
    /// No files yet. Those of a process that has read them before: a pipe can be read only once, and is refused.
    pub(super) fn of_reload() -> Self {
        Self { pipes: PipePolicy::Refuse, ..Self::default() }
    }

    /// Reads the text of a file and adds the file, even if it cannot be read.
    pub fn read(&self, path: &Path) -> io::Result<String> {
        let bytes = read_bytes(path, self.pipes);
        let state = if is_not_a_file(path) { FileState::NotAFile } else { FileState::from_read(&bytes) };
        self.states.lock().insert(path.to_owned(), state);
        String::from_utf8(bytes?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    }

    /// Adds a file in its present state. It may be missing.
    pub fn watch(&self, path: &Path) {
        self.states.lock().insert(path.to_owned(), FileState::at(path));
    }

    /// Returns the same files in their present state. Reads from disk.
    #[must_use]
    pub fn again(&self) -> Self {
        let paths: Vec<PathBuf> = self.states.lock().keys().cloned().collect();
        let states = paths.into_iter().map(|path| {
            let state = FileState::at(&path);
            (path, state)
        });
        Self { states: Arc::new(Mutex::new(states.collect())), pipes: self.pipes }
    }

    /// Whether both have the same files in the same states.
    pub fn are_same(&self, other: &Self) -> bool {
        // Cloned, because `other` may share the lock.
        let states = self.states.lock().clone();
        states == *other.states.lock()
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
        if is_not_a_file(path) { Self::NotAFile } else { Self::from_read(&read_bytes(path, PipePolicy::Refuse)) }
    }
}

/// Whether there is something other than a file. Does not open it, because opening a pipe waits for a writer.
fn is_not_a_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

fn read_bytes(path: &Path, pipes: PipePolicy) -> io::Result<Vec<u8>> {
    let file = match pipes {
        PipePolicy::Read => File::open(path)?,
        PipePolicy::Refuse => open_again(path)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file that the running service reads.
pub(super) fn open_again(path: &Path) -> io::Result<File> {
    let is_pipe = || io::Error::other("it is a pipe, which can be read only once; restart the service instead");
    open_no_pipe(path)?.ok_or_else(is_pipe)
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
