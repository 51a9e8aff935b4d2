//! The output of commands: results to stdout, notes and errors to stderr.
//!
//! Styles are for terminals: a pipe and a file get none, unless `CLICOLOR_FORCE` is set, and a terminal none if `NO_COLOR`
//! is set, or if TERM is `dumb` and neither `CI` nor `CLICOLOR` is set.

use std::io::{self, ErrorKind, Write as _};
use std::ops::ControlFlow;

/// Prints a result to stdout.
pub(super) fn print(text: &str) -> io::Result<()> {
    print_part(text).map(|_| ())
}

/// Prints a part of a long result to stdout.
///
/// Breaks if the reader has closed the pipe, as `| head -1` does. That is not an error.
pub(super) fn print_part(text: &str) -> io::Result<ControlFlow<()>> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        done => done.map(ControlFlow::Continue),
    }
}

/// Prints a note to stderr. Ignores errors, because there is no other place to report them.
pub(super) fn print_note(text: &str) {
    let _: io::Result<()> = writeln!(anstream::stderr().lock(), "{}", text.trim_end());
}
