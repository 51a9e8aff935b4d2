//! The file of an export that is not complete yet. Neither an error nor a signal that can be handled leaves it behind.

use std::path::Path;
use std::{fs, io, process, thread};

use tempfile::NamedTempFile;
use tokio::runtime;

use crate::cli::output;
use crate::cli::signal::Signals;

/// Makes a file in a folder, with a name that begins with that of the export.
///
/// Only its owner may read it. From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT remove it and end the process.
pub(super) fn create(folder: &Path, export: &Path) -> io::Result<NamedTempFile> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    // Before the file is there, so that no signal leaves it behind.
    let mut signals = runtime.block_on(async { Signals::of_command() })?;
    let mut prefix = export.file_name().unwrap_or_default().to_os_string();
    prefix.push(".partial-");
    let file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?;
    let path = file.path().to_path_buf();
    // A thread of its own, for the export may be writing to a slow disk.
    let watch = move || end(&path, runtime.block_on(signals.next()).code());
    thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(file)
}

#[expect(clippy::exit, reason = "the export may be waiting for a disk or a store")]
fn end(path: &Path, code: u8) {
    // If it is not there, the export has just become complete.
    if fs::remove_file(path).is_ok() {
        output::print_note("cloakroom: the export was interrupted, and there is no file");
    }
    process::exit(code.into());
}
