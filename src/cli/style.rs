//! Colours and bold text. `output` prints them on a terminal, unless `NO_COLOR` is set, and leaves them out elsewhere.
//!
//! Never in JSON, in files and in man pages.

use anstyle::{AnsiColor, Style};

pub(super) const GOOD: Style = AnsiColor::Green.on_default();

pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();

pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

pub(super) const HEADING: Style = Style::new().bold();

/// Returns a text in a style.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Returns a text without its styles.
pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
