//! The `Cookie` header of a request: the values that stand under one name.
//!
//! One pass over the bytes, no allocation, no error: a browser's header is what it is.

/// The longest header that is looked at. RPCs refuse a longer one.
pub const MAX_HEADER_BYTES: usize = 1024 * 1024;

/// How many cookies of one name are looked at; more are ignored.
pub const MAX_CANDIDATES: usize = 8;

/// The values of all cookies called `name`, in their order, at most [`MAX_CANDIDATES`].
///
/// Pairs are split at `;` and then at the first `=`, and white space around them goes, as RFC 6265bis
/// section 4.2 has them sent. Names are compared byte by byte. A pair without `=` is no cookie.
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
