//! Where an export goes: stdout, or a file that gets its name when it is complete.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::{failed, partial_file};
use crate::cli::{CliError, output};
use crate::store::Reader;

/// Where an export goes.
pub(super) enum ExportOutput {
    Stdout(u64),
    /// A file that gets its name when it is complete.
    File(NamedTempFile, u64),
}

impl ExportOutput {
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err("an export is no text for a terminal; name a file, or send it through a pipe".into());
            }
            return Ok(Self::Stdout(0));
        }
        if path.exists() {
            return Err(exists(path));
        }
        let folder = folder(path);
        let file = partial_file::create(folder, path)
            .map_err(|error| CliError::Failed(format!("{}: {error}", folder.display()).into()))?;
        Ok(Self::File(file, 0))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let (result, count) = match self {
            Self::Stdout(count) => (io::stdout().lock().write_all(bytes), count),
            Self::File(file, count) => (file.write_all(bytes), count),
        };
        *count += bytes.len() as u64;
        Ok(result?)
    }

    /// Checks that the file is a whole export. stdout cannot be read again: an import checks what came out of it.
    pub(super) fn check(&self) -> Result<(), CliError> {
        let Self::File(file, _) = self else { return Ok(()) };
        let file = File::open(file.path())?;
        Reader::new(BufReader::new(file)).and_then(Reader::check_all).map_err(failed)?;
        Ok(())
    }

    /// Makes sure that everything is written. Returns how many bytes that are.
    pub(super) fn finish(self, path: &Path) -> Result<u64, CliError> {
        match self {
            Self::Stdout(count) => {
                io::stdout().lock().flush()?;
                Ok(count)
            }
            Self::File(file, count) => {
                file.as_file().sync_all()?;
                file.persist_noclobber(path).map_err(|error| match error.error.kind() {
                    io::ErrorKind::AlreadyExists => exists(path),
                    _ => failed(error.error),
                })?;
                sync_folder(folder(path));
                Ok(count)
            }
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes sure that a power failure takes no name from the folder. Not every file system allows that.
fn sync_folder(folder: &Path) {
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        let folder = folder.display();
        output::print_note(&format!(
            "the file is written, but after a power failure its name may be missing in {folder}: {error}"
        ));
    }
}

fn exists(path: &Path) -> CliError {
    CliError::Failed(format!("{}: it is there already; name another file", path.display()).into())
}
