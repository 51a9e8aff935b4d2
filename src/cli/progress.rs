//! A line on a terminal that says how far a long command has come. There is none in pipes and logs.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::output;
use crate::types::counted;

/// Shows how many sessions are done.
#[derive(Debug)]
pub(super) struct Progress {
    /// When it was shown last; `None`: there is no terminal.
    shown: Option<Instant>,
    /// Whether a line is there to be cleared.
    has_line: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { shown: io::stderr().is_terminal().then(Instant::now), has_line: false }
    }

    pub(super) fn show(&mut self, sessions: u64) {
        self.show_text(|| counted(sessions, "session", "sessions"));
    }

    /// Shows this text.
    pub(super) fn show_text(&mut self, text: impl FnOnce() -> String) {
        if self.shown.is_some_and(|shown| shown.elapsed() >= INTERVAL) {
            print(&text());
            (self.shown, self.has_line) = (Some(Instant::now()), true);
        }
    }

    /// Prints a note on a line of its own.
    pub(super) fn note(&self, text: &str) {
        if self.has_line {
            print("");
        }
        output::print_note(text);
    }
}

impl Drop for Progress {
    /// Clears the line for what is printed next.
    fn drop(&mut self) {
        if self.has_line {
            print("");
        }
    }
}

/// Replaces the line by this one.
fn print(text: &str) {
    // There is no other place to report that the terminal is gone.
    let _: io::Result<()> = write!(io::stderr().lock(), "\r\u{1b}[K{text}");
}

const INTERVAL: Duration = Duration::from_millis(200);
