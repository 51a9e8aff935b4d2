//! Where an export goes: stdout, or a file that gets its name when it is complete. It may be encrypted on the way.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::check::StreamCheck;
use super::partial_file;
use crate::age::{Encryptor, Recipient};
use crate::cli::{CliError, output};

/// An export that is being written.
pub(super) struct ExportOutput {
    writer: ExportWriter,
    check: Option<StreamCheck>,
}

enum ExportWriter {
    Plain(Destination),
    Encrypted(Box<Encryptor<Destination>>),
}

impl ExportOutput {
    /// Opens it. With recipients the export is encrypted to them.
    pub(super) fn open(path: &Path, recipients: &[Recipient]) -> Result<Self, CliError> {
        let destination = Destination::open(path)?;
        let writer = match recipients {
            [] => ExportWriter::Plain(destination),
            recipients => ExportWriter::Encrypted(Box::new(Encryptor::new(destination, recipients)?)),
        };
        Ok(Self { writer, check: None })
    }

    /// The same; `finish` fails then if what was written is not a whole export.
    pub(super) fn open_checked(path: &Path, recipients: &[Recipient]) -> Result<Self, CliError> {
        let check = Some(StreamCheck::start()?);
        Ok(Self { check, ..Self::open(path, recipients)? })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if let Some(check) = &mut self.check {
            check.write(bytes);
        }
        Ok(match &mut self.writer {
            ExportWriter::Plain(destination) => destination.write_all(bytes),
            ExportWriter::Encrypted(encryptor) => encryptor.write_all(bytes),
        }?)
    }

    /// Makes sure that everything is written. Returns how many bytes that are.
    pub(super) fn finish(self, path: &Path) -> Result<u64, CliError> {
        if let Some(check) = self.check {
            check.finish()?;
        }
        match self.writer {
            ExportWriter::Plain(destination) => destination.finish(path),
            ExportWriter::Encrypted(encryptor) => encryptor.finish()?.finish(path),
        }
    }
}

/// Where the bytes go, and how many there were.
enum Destination {
    Stdout(u64),
    /// A file that gets its name when it is complete.
    File(NamedTempFile, u64),
}

impl Destination {
    fn open(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err("an export is no text for a terminal; name a file, or send it through a pipe".into());
            }
            return Ok(Self::Stdout(0));
        }
        if path.exists() {
            return Err(exists(path));
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(at(path, "this is the name of a folder, which is not there; name a file"));
        }
        let folder = folder(path);
        let file = partial_file::create(folder, path).map_err(|error| at(folder, &error.to_string()))?;
        Ok(Self::File(file, 0))
    }

    fn finish(self, path: &Path) -> Result<u64, CliError> {
        match self {
            Self::Stdout(count) => {
                io::stdout().lock().flush()?;
                Ok(count)
            }
            Self::File(file, count) => {
                file.as_file().sync_all()?;
                file.persist_noclobber(path).map_err(|error| match error.error.kind() {
                    io::ErrorKind::AlreadyExists => exists(path),
                    _ => at(path, &error.error.to_string()),
                })?;
                sync_folder(folder(path));
                Ok(count)
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (written, count) = match self {
            Self::Stdout(count) => (io::stdout().lock().write(bytes)?, count),
            Self::File(file, count) => (file.write(bytes)?, count),
        };
        *count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(_) => io::stdout().lock().flush(),
            Self::File(file, _) => file.flush(),
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
    at(path, "it is there already; name another file")
}

fn at(path: &Path, why: &str) -> CliError {
    CliError::Failed(format!("{}: {why}", path.display()).into())
}
