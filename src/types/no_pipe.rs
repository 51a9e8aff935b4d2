//! Opening files that are read more than once.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file for reading; `None`: it is a pipe, which can be read only once.
///
/// Waits for no writer. A terminal that has nothing when it is read is an error then.
pub fn open_no_pipe(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    Ok(if file.metadata()?.file_type().is_fifo() { None } else { Some(file) })
}
