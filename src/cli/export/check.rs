//! Checks an export while it is written. An encrypted file, and stdout, cannot be read again.

use std::io::{self, BufReader, PipeWriter, Write as _};
use std::thread::{self, JoinHandle};

use super::failed;
use crate::cli::CliError;
use crate::store::{FileError, Reader};

/// The check of an export, on a thread of its own.
#[derive(Debug)]
pub(super) struct StreamCheck {
    pipe: PipeWriter,
    checker: JoinHandle<Result<(), FileError>>,
}

impl StreamCheck {
    pub(super) fn start() -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        let check = move || Reader::new(BufReader::new(reader)).and_then(Reader::check_all).map(drop);
        let checker = thread::Builder::new().name("check".to_owned()).spawn(check)?;
        Ok(Self { pipe, checker })
    }

    /// Checks the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        // It fails only if the check has ended with an error, which `finish` returns.
        let _: io::Result<()> = self.pipe.write_all(bytes);
    }

    /// Fails if what was written is not a whole export.
    pub(super) fn finish(self) -> Result<(), CliError> {
        drop(self.pipe);
        self.checker.join().map_err(|_| "the check of the export has panicked")?.map_err(failed)
    }
}
