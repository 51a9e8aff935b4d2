//! How far a long command has come: a line on a terminal that is rewritten, or lines now and then for a log.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::{layout, output};
use crate::types::counted;

/// Shows how far a command has come.
#[derive(Debug)]
pub(super) struct Progress {
    output: ProgressOutput,
    /// When it was shown last; `None`: it is due.
    shown: Option<Instant>,
    /// Whether a line is there to be cleared.
    has_line: bool,
}

/// Where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProgressOutput {
    Terminal,
    Log,
    Nowhere,
}

impl Progress {
    /// Shows nothing of a command that ends at once, and nothing where there is no terminal.
    pub(super) fn new() -> Self {
        let output = if io::stderr().is_terminal() { ProgressOutput::Terminal } else { ProgressOutput::Nowhere };
        Self { output, shown: Some(Instant::now()), has_line: false }
    }

    /// Begins at once, and prints lines of a log where there is no terminal.
    pub(super) fn with_log() -> Self {
        let output = if io::stderr().is_terminal() { ProgressOutput::Terminal } else { ProgressOutput::Log };
        Self { output, shown: None, has_line: false }
    }

    /// Shows how many sessions are done.
    pub(super) fn show(&mut self, sessions: u64) {
        self.show_text(|_| counted(sessions, "session", "sessions"));
    }

    /// Shows a text that is made for a terminal with so many columns, or for a log.
    pub(super) fn show_text(&mut self, text: impl FnOnce(Option<usize>) -> String) {
        if !self.is_due(Instant::now()) {
            return;
        }
        match self.output {
            ProgressOutput::Terminal => {
                print(&text(Some(layout::stderr_columns().unwrap_or(COLUMNS))));
                self.has_line = true;
            }
            ProgressOutput::Log => output::print_note(&text(None)),
            ProgressOutput::Nowhere => {}
        }
        self.shown = Some(Instant::now());
    }

    fn is_due(&self, now: Instant) -> bool {
        let interval = match self.output {
            ProgressOutput::Terminal => TERMINAL_INTERVAL,
            ProgressOutput::Log => LOG_INTERVAL,
            ProgressOutput::Nowhere => return false,
        };
        self.shown.is_none_or(|shown| now.saturating_duration_since(shown) >= interval)
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

const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The columns of a terminal that does not tell its width.
const COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_written_five_times_a_second_and_a_log_every_ten_seconds() {
        let now = Instant::now();
        let due = |output, shown_ago: Option<u64>| {
            let shown = shown_ago.map(|ms| now.checked_sub(Duration::from_millis(ms)).expect("the machine runs"));
            Progress { output, shown, has_line: false }.is_due(now)
        };

        assert_eq!([100, 200].map(|ms| due(ProgressOutput::Terminal, Some(ms))), [false, true]);
        assert_eq!([9_999, 10_000].map(|ms| due(ProgressOutput::Log, Some(ms))), [false, true]);
        assert!(due(ProgressOutput::Terminal, None) && due(ProgressOutput::Log, None));
        assert!(!due(ProgressOutput::Nowhere, Some(10_000)));
    }
}
