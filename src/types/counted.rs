//! Numbers with their nouns, in output and errors.

use std::fmt::Display;

/// Returns a number with its noun in the singular or the plural: `1 session`, `2 sessions`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    format!("{count} {}", noun(&count, one, many))
}

/// Returns the noun of a number, in the singular or the plural.
pub fn noun<'n, N: PartialEq + From<u8>>(count: &N, one: &'n str, many: &'n str) -> &'n str {
    if *count == N::from(1) { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_thing_is_in_the_singular() {
        let counted = [0, 1, 2].map(|count: u64| counted(count, "entry", "entries"));

        assert_eq!(counted, ["0 entries", "1 entry", "2 entries"]);
    }
}
