//! Paths that pages name.

use crate::markdown::Page;
use crate::tree::{self, Finding, Tree};

/// What a path of the repository begins with.
const ROOTS: [&str; 10] =
    ["src/", "docs/", "tests/", "deploy/", "clients/", "examples/", "proto/", "benches/", "make/", "tools/"];

/// Made on this machine, so git does not track them.
const GENERATED: [&str; 2] = ["deploy/secrets", "examples/python/cloakroom"];

/// Checks all pages. A changelog names what has been.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let pages = tree.ending(".md").filter(|(file, _)| !file.ends_with("CHANGELOG.md"));
    pages.flat_map(|(file, text)| missing(tree, file, text)).collect()
}

/// The paths in a page's code that do not exist, neither from the root nor from its own folder.
fn missing(tree: &Tree, file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, span) in Page::parse(text).spans {
        for path in span.split_whitespace().filter_map(path) {
            let beside = tree::resolve(file, path).is_some_and(|beside| tree.has(&beside));
            let generated = GENERATED.iter().any(|made| path.starts_with(made));
            if !tree.has(path) && !beside && !generated {
                let wrong = format!("there is no {path}");
                findings.push(Finding::new(
                    file,
                    line,
                    wrong,
                    "name the file that is meant, by its path from the root",
                ));
            }
        }
    }
    findings
}

/// The word as a path of the repository, without the line behind it. One with a placeholder names no file.
fn path(word: &str) -> Option<&str> {
    let is_path = ROOTS.iter().any(|root| word.starts_with(root)) && !word.contains(['*', '<', '{', '$', '[']);
    let word = word.split([':', '#']).next().unwrap_or(word);
    is_path.then(|| word.trim_end_matches(['/', ',', '.', ';', ')']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let text = "`src/a.rs` and `src/b.rs:12`\n`node benches/c.mjs --x`, src/d.rs";
        let tree = Tree::of(&[("README.md", text), ("src/a.rs", "")]);

        let found = check(&tree).iter().map(ToString::to_string).collect::<Vec<_>>();

        let todo = "name the file that is meant, by its path from the root";
        assert_eq!(
            found,
            [
                format!("README.md:1: there is no src/b.rs; {todo}"),
                format!("README.md:2: there is no benches/c.mjs; {todo}")
            ]
        );
    }

    #[test]
    fn folders_patterns_and_generated_files_are_fine() {
        let text = "`src/`, `src/*.go`, `tests/<name>.rs`, `examples/python/cloakroom/v1`, `src/load.rs`, `other/x`";
        let tree = Tree::of(&[("benches/README.md", text), ("src/a.rs", ""), ("benches/src/load.rs", "")]);

        assert_eq!(check(&tree), []);
    }
}
