//! Marks that git leaves where two changes met.

use crate::tree::{Finding, Tree};

const MARKS: [&str; 2] = ["<<<<<<< ", ">>>>>>> "];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let finding = |file, line| Finding::new(file, line, "a mark of a conflict", "decide between both sides");
    let lines = |(file, text): (_, &str)| {
        text.lines()
            .enumerate()
            .filter(|(_, line)| MARKS.iter().any(|mark| line.starts_with(mark)))
            .map(|(index, _)| finding(file, index + 1))
            .collect::<Vec<_>>()
    };
    tree.files().flat_map(lines).collect()
}

#[test]
fn a_mark_of_a_conflict_is_found_at_its_line() {
    let text = format!("a\n{}HEAD\nb\n=======\nc\n{}1234\n", MARKS[0], MARKS[1]);

    let found = check(&Tree::of(&[("docs/a.md", &text)]));

    let places = found.iter().map(|finding| finding.to_string().split(": ").next().unwrap().to_owned());
    assert_eq!(places.collect::<Vec<_>>(), ["docs/a.md:2", "docs/a.md:6"]);
}
