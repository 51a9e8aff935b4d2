//! What a command prints: answers to stdout, remarks to stderr.
//!
//! A reader that has gone (`| head -1`) is no failure. An error of stderr has nowhere to be told.

use std::io::{self, ErrorKind, Write as _};
use std::ops::ControlFlow;

/// Prints an answer.
pub(super) fn answer(text: &str) -> io::Result<()> {
    part(text).map(|_| ())
}

/// Prints a part of a long answer; says whether anybody still reads.
pub(super) fn part(text: &str) -> io::Result<ControlFlow<()>> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        done => done.map(ControlFlow::Continue),
    }
}

/// Prints a remark.
pub(super) fn tell(text: &str) {
    let _: io::Result<()> = writeln!(io::stderr().lock(), "{}", text.trim_end());
}
