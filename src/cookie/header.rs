//! The `Cookie` header of a request: the values of all cookies with one name.
//!
//! One pass over the bytes, no allocation. There is no error: a malformed pair is skipped.

/// The longest header that RPCs accept.
pub const MAX_HEADER_BYTES: usize = 1024 * 1024;

/// The most cookies of one name that are read. The others are ignored.
pub const MAX_CANDIDATES: usize = 8;

/// Returns the values of the first [`MAX_CANDIDATES`] cookies called `name`, in their order.
///
/// Pairs are split at `;` and then at the first `=`, and white space around names and values is removed (RFC 6265bis
/// section 4.2). Names are compared byte by byte. A pair without `=` is skipped.
pub fn values<'h>(header: &'h str, name: &str) -> impl Iterator<Item = &'h str> {
    header
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .filter(move |(key, _)| trim(key) == name)
        .map(|(_, value)| trim(value))
        .take(MAX_CANDIDATES)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
