//! Texts for the width of a terminal. Wide characters count as the columns that they take.
//!
//! In a pipe and in a file, no text is shortened or broken.

use std::io;
use std::os::fd::AsFd;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::style::plain;

/// Returns the columns of the terminal at stdout. `None`: there is no terminal, or its width is not known.
pub(super) fn terminal_columns() -> Option<usize> {
    columns_of(io::stdout())
}

/// The same of the terminal at stderr.
pub(super) fn stderr_columns() -> Option<usize> {
    columns_of(io::stderr())
}

fn columns_of(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col).max(MIN_COLUMNS))
}

/// Returns how many columns a text takes. Styles take none.
pub(super) fn width(text: &str) -> usize {
    if text.contains('\u{1b}') { plain(text).width() } else { text.width() }
}

/// Cuts a printable text to at most so many columns.
pub(super) fn cut(text: String, columns: usize) -> String {
    if width(&text) <= columns {
        return text;
    }
    let mut room = columns.saturating_sub(1);
    let fits = |c: &char| {
        let left = room.checked_sub(c.width().unwrap_or_default());
        room = left.unwrap_or_default();
        left.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Fills a text up with spaces to so many columns.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{:spaces$}", "")
}

/// Returns a text behind its beginning, in lines that fit, each with its line break.
///
/// Breaks at spaces only, so that an id can be copied: a longer word has a line of its own. If there is too little room
/// behind the beginning, it becomes `beginning: text`, and the text goes on below it.
pub(super) fn wrapped(beginning: &str, text: &str, columns: usize) -> String {
    let mut line = beginning.to_owned();
    let mut indent = width(beginning);
    if columns < indent + MIN_TEXT_COLUMNS && !beginning.trim().is_empty() {
        let name = beginning.trim_end().trim_end_matches(':');
        line = format!("{name}: ");
        indent = width(name) - width(name.trim_start()) + 2;
    } else if columns < indent + MIN_TEXT_COLUMNS && !beginning.is_empty() {
        indent = 2;
        line = " ".repeat(indent);
    }
    let (mut used, mut is_at_start) = (width(&line), true);
    for word in text.split(' ') {
        let length = width(word);
        let space = usize::from(!is_at_start);
        if used > indent && used + space + length > columns {
            line.truncate(line.trim_end_matches(' ').len());
            line.push('\n');
            line.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else {
            line.extend(std::iter::repeat_n(' ', space));
            used += space;
        }
        line += word;
        used += length;
        is_at_start = false;
    }
    line.push('\n');
    line
}

/// Returns `name: value` pairs, as many on a line as fit. A value that is longer than a line of its own is broken.
pub(super) fn folded(pairs: impl IntoIterator<Item = (&'static str, String)>, columns: usize) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for (name, value) in pairs {
        let pair = format!("{name}: {value}");
        let length = width(&pair);
        if used > 0 && used + PAIR_GAP + length <= columns {
            text.extend(std::iter::repeat_n(' ', PAIR_GAP));
            text += &pair;
            used += PAIR_GAP + length;
            continue;
        }
        if used > 0 {
            text.push('\n');
        }
        text += "  ";
        used = 2;
        let fits_below = used + length > columns && width(&value) + 4 <= columns;
        let pair = if fits_below { format!("{name}:\n    {value}") } else { pair };
        for c in pair.chars() {
            let length = c.width().unwrap_or_default();
            if used + length > columns && !fits_below {
                text += "\n    ";
                used = 4;
            }
            text.push(c);
            used += length;
        }
        // Nothing follows on a line below the first: it would look like a part of the value.
        if fits_below || text.lines().next_back().is_some_and(|line| line.starts_with("    ")) {
            used = columns;
        }
    }
    if used > 0 {
        text.push('\n');
    }
    text
}

/// A narrower terminal is treated as if it had so many columns.
const MIN_COLUMNS: usize = 20;

/// The least room for a text behind its beginning: as much as an id takes.
const MIN_TEXT_COLUMNS: usize = 32;

/// The spaces between two pairs on one line.
const PAIR_GAP: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(width("東京 ab"), 7);
        assert_eq!(cut("東京 ab".to_owned(), 7), "東京 ab");
        assert_eq!(cut("東京 abc".to_owned(), 7), "東京 a…");
        assert_eq!(cut("東京 abc".to_owned(), 4), "東…");
        assert_eq!(padded("東京", 5), "東京 ");
    }

    #[test]
    fn a_text_is_broken_at_spaces_behind_its_beginning() {
        let text = "the session was not used for its idle timeout";

        assert_eq!(wrapped("do   ", text, 40), "do   the session was not used for its\n     idle timeout\n");
        assert_eq!(wrapped("do   ", text, 80), format!("do   {text}\n"));
    }

    #[test]
    fn without_room_behind_its_beginning_a_text_goes_on_below_it() {
        let text = wrapped("   session    ", "0123456789abcdef0123456789abcdef, used now", 40);

        assert_eq!(text, "   session:\n     0123456789abcdef0123456789abcdef,\n     used now\n");
    }

    #[test]
    fn an_id_is_never_broken() {
        let id = "0123456789abcdef0123456789abcdef";
        for columns in 20..60 {
            for text in [wrapped("id  ", id, columns), wrapped("    ", &format!("{id} ends"), columns)] {
                assert!(text.contains(id), "{columns}: {text}");
            }
        }
    }

    #[test]
    fn pairs_share_lines_and_long_values_are_broken() {
        let pairs = || [("subject", "ada".to_owned()), ("used", "3m ago".to_owned()), ("agent", "Lynx/2.8".to_owned())];

        assert_eq!(folded(pairs(), 34), "  subject: ada   used: 3m ago\n  agent: Lynx/2.8\n");
        assert_eq!(folded(pairs(), 16), "  subject: ada\n  used: 3m ago\n  agent:\n    Lynx/2.8\n");
        assert_eq!(folded([("agent", "Lynx/2.8 libwww".to_owned())], 16), "  agent: Lynx/2.\n    8 libwww\n");
        let after = [("agent", "Lynx/2.8 libwww-FM/2".to_owned()), ("a", "b".to_owned())];
        assert_eq!(folded(after, 20), "  agent: Lynx/2.8 li\n    bwww-FM/2\n  a: b\n");
        assert_eq!(folded([], 16), "");
    }
}
