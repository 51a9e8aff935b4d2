//! Errors in log lines: as values, so that the line has their causes too.

use crate::rust_source;
use crate::tree::{Finding, Tree, line_of};

/// How a field of a log line would be the text of an error alone, without its causes.
const WITHOUT_CAUSES: &[&str] = &["%error", "?error", "error = %", "error = ?"];

/// Checks all of `src/`.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.ending(".rs").filter(|(file, _)| file.starts_with("src/"));
    sources.flat_map(|(file, text)| without_causes(file, text)).collect()
}

fn without_causes(file: &str, text: &str) -> Vec<Finding> {
    let code = rust_source::code_only(text);
    let is_whole = |at: usize, field: &str| {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let (before, after) = (code.as_bytes()[..at].last(), code.as_bytes().get(at + field.len()));
        if field.starts_with("error") { !before.is_some_and(is_word) } else { !after.is_some_and(is_word) }
    };
    let found = WITHOUT_CAUSES.iter().flat_map(|field| {
        code.match_indices(field).filter(|(at, _)| is_whole(*at, field)).map(|(at, _)| at).collect::<Vec<_>>()
    });
    let finding = |at| {
        Finding::new(
            file,
            line_of(text, at),
            "an error is logged without its causes",
            "write `error = &error as &dyn Error`",
        )
    };
    found.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_logged_as_text_is_found() {
        let text = "warn!(%error, \"a\");\nwarn!(error = %source, \"b\");\nerror!(calls, ?error);\nwarn!(error = ?e);";

        assert_eq!(without_causes("src/a.rs", text).len(), 4);
    }

    #[test]
    fn an_error_that_is_logged_as_a_value_is_fine() {
        let text = "warn!(error = &error as &dyn Error, %app, \"%error\"); // %error\nlet is = a %error_count;\nmy_error = %x;";

        assert_eq!(without_causes("src/a.rs", text), []);
    }
}
