//! The cookies that a person gives to a command.

use std::io::{self, IsTerminal as _, Read as _};

use super::output;
use crate::cookie;

/// Reads the text, as much as a header may have.
pub(super) fn read_stdin() -> io::Result<String> {
    if io::stdin().is_terminal() {
        output::print_note("Paste the Cookie header or the id of the session, then press Enter and Ctrl-D:");
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(cookie::MAX_HEADER_BYTES).unwrap_or(u64::MAX);
    io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Removes the name of the header: browsers copy `Cookie: a=b`.
pub(super) fn without_field_name(text: &str) -> &str {
    match text.split_once(':') {
        Some((name, header)) if name.trim().eq_ignore_ascii_case("cookie") => header.trim(),
        _ => text,
    }
}
