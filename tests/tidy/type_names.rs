//! Names of types: each stands for one type, so that a reader who searches for it finds what is meant.

use std::collections::BTreeMap;

use crate::rust_source;
use crate::tree::{Finding, Tree};

/// The names that stand for several types. Other modules write them with the module's name, as in `store::Error`.
const SHARED: &[&str] = &[
    // Of each module that has its own: why it fails, what it is configured by, and why it cannot be opened.
    "Error",
    "Settings",
    "OpenError",
    // The same part of the formats of several session libraries.
    "DecodedRecord",
    "RecordError",
    "Sid",
    "SidRejection",
    "Signer",
    "VerifiedCookie",
];

/// Longer, the list would say that names mean nothing.
const MAX_SHARED: usize = 12;

/// Checks all of `src/`, except for tests.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    const { assert!(SHARED.len() <= MAX_SHARED, "rename types before another name is shared") };
    ambiguous(tree, SHARED)
}

fn ambiguous(tree: &Tree, shared: &[&str]) -> Vec<Finding> {
    let mut places = BTreeMap::<String, Vec<(&str, usize)>>::new();
    for (file, text) in tree.ending(".rs").filter(|(file, _)| file.starts_with("src/") && !file.ends_with("/tests.rs"))
    {
        for (name, line) in definitions(&rust_source::code_only(text)) {
            places.entry(name).or_default().push((file, line));
        }
    }
    let own = |name: &&&str| places.get(**name).is_none_or(|places| places.len() < 2);
    let mut findings = shared.iter().filter(own).map(|name| shared_no_longer(name)).collect::<Vec<_>>();
    for (name, places) in places.iter().filter(|(name, _)| !shared.contains(&name.as_str())) {
        let (first, first_line) = places[0];
        findings.extend(places[1..].iter().map(|&(file, line)| {
            let wrong = format!("{name} is the name of a type in {first}:{first_line} too");
            Finding::new(file, line, wrong, "give the type that fewer files use a name of its own")
        }));
    }
    findings
}

fn shared_no_longer(name: &str) -> Finding {
    let wrong = format!("{name} does not stand for several types");
    Finding::new("tests/tidy/type_names.rs", 1, wrong, "remove it from SHARED")
}

/// The types and traits that the code defines, each with its line. Associated types and test items are left out.
fn definitions(code: &str) -> Vec<(String, usize)> {
    let tokens = rust_source::tokens(code);
    let token = |at: usize| tokens.get(at).map_or("", |&(token, _)| token);
    // The braces that are open, and whether each is that of a trait or of an implementation.
    let (mut braces, mut is_header) = (Vec::new(), false);
    let (mut definitions, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if (0..TEST.len()).all(|ahead| token(at + ahead) == TEST[ahead]) {
            at = end_of_item(&tokens, at + TEST.len());
            continue;
        }
        let is_defined = match token(at) {
            "{" => {
                braces.push(std::mem::take(&mut is_header));
                false
            }
            "}" => {
                braces.pop();
                false
            }
            "impl" => {
                // Elsewhere it is a type.
                is_header = at == 0 || matches!(token(at - 1), "{" | "}" | ";" | "]" | "unsafe");
                false
            }
            "trait" => {
                is_header = true;
                true
            }
            "type" => braces.last() != Some(&true),
            "struct" | "enum" | "union" => true,
            _ => false,
        };
        let name = token(at + 1);
        if is_defined && name.starts_with(|first: char| first.is_ascii_uppercase()) {
            definitions.push((name.to_owned(), tokens[at].1));
        }
        at += 1;
    }
    definitions
}

/// How an item begins that is for tests alone.
const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Where the item ends that begins here: after its block, or after its semicolon.
fn end_of_item(tokens: &[(&str, usize)], begin: usize) -> usize {
    let mut depth = 0_usize;
    for (at, &(token, _)) in tokens.iter().enumerate().skip(begin) {
        match token {
            "(" | "[" | "{" => depth += 1,
            // It was a field or a variant, and what it stands in ends here.
            ")" | "]" | "}" if depth == 0 => return at,
            "}" if depth == 1 => return at + 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        definitions(&rust_source::code_only(text)).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_name_of_two_types_is_found() {
        let tree = Tree::of(&[
            ("src/a.rs", "struct Report;\nstruct Other;"),
            ("src/b.rs", "// One.\npub(crate) enum Report {}"),
            ("src/b/tests.rs", "struct Report;"),
            ("tests/c.rs", "struct Report;"),
        ]);

        let found = ambiguous(&tree, &[]).iter().map(ToString::to_string).collect::<Vec<_>>();

        let wrong = "Report is the name of a type in src/a.rs:1 too";
        assert_eq!(found, [format!("src/b.rs:2: {wrong}; give the type that fewer files use a name of its own")]);
    }

    #[test]
    fn a_shared_name_is_fine_as_long_as_it_is_shared() {
        let tree = Tree::of(&[("src/a.rs", "struct Error;\nstruct Own;"), ("src/b.rs", "type Error = ();")]);

        let found = ambiguous(&tree, &["Error", "Own", "Gone"]);

        assert_eq!(found, [shared_no_longer("Own"), shared_no_longer("Gone")]);
    }

    #[test]
    fn every_kind_of_type_is_a_definition() {
        let text = "pub struct A<T>(T);\nenum B {}\nunion C {}\npub(super) type D = u8;\npub trait E: F {}\nfn f(g: type_of) {}";

        assert_eq!(names(text), ["A", "B", "C", "D", "E"]);
    }

    #[test]
    fn an_associated_type_is_none() {
        let text = "trait A { type B; }\nunsafe impl<T> A for T where T: C { type B = u8; fn f() { type D = u8; } }\n\
                    fn g() -> impl A {\n    type E = u8;\n}";

        assert_eq!(names(text), ["A", "D", "E"]);
    }

    #[test]
    fn comments_strings_and_test_items_define_nothing() {
        let text = "// struct A\nconst B: &str = \"struct C\";\n#[cfg(test)]\n#[derive(Debug)]\nstruct D([u8; 2]);\n\
                    #[cfg(test)]\npub mod tests {\n    struct E;\n}\nstruct F {\n    #[cfg(test)]\n    g: u8,\n}\nstruct H;";

        assert_eq!(names(text), ["F", "H"]);
    }
}
