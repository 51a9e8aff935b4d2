//! Make targets that texts name.

use std::collections::BTreeSet;

use crate::markdown::Page;
use crate::tree::{Finding, Tree};

/// Checks all texts.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let makefiles = tree.files().filter(|(file, _)| is_makefile(file));
    let targets = makefiles.flat_map(|(_, text)| targets(text)).collect::<BTreeSet<_>>();
    tree.files().filter(|(file, _)| !is_exempt(file)).flat_map(|(file, text)| unknown(file, text, &targets)).collect()
}

/// A changelog names what has been, and this folder makes targets up.
fn is_exempt(file: &str) -> bool {
    file.ends_with("CHANGELOG.md") || file.starts_with("tests/tidy/")
}

fn is_makefile(file: &str) -> bool {
    file == "Makefile" || file.ends_with(".mk")
}

/// The targets that a makefile has rules for.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let rules = text.lines().filter(|line| !line.starts_with(['\t', '#', ' ']));
    let names = rules
        .filter_map(|line| line.split_once(':'))
        .filter(|(names, rest)| !rest.starts_with('=') && !names.contains('='));
    names.flat_map(|(names, _)| names.split_whitespace()).filter(|name| is_name(name))
}

/// A name, and no file or pattern.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

/// The targets that a text names and that no rule makes.
fn unknown(file: &str, text: &str, targets: &BTreeSet<&str>) -> Vec<Finding> {
    let unknown = named(file, text).into_iter().filter(|(_, name)| !targets.contains(name.as_str()));
    let todo = "name one that `make help` lists";
    unknown.map(|(line, name)| Finding::new(file, line, format!("there is no make target {name}"), todo)).collect()
}

/// The targets that a text names, with their lines.
fn named(file: &str, text: &str) -> Vec<(usize, String)> {
    let mut code = Vec::new();
    if file.ends_with(".md") {
        let page = Page::parse(text);
        code.extend(page.spans);
        code.extend(page.blocks);
    } else {
        code.extend(text.lines().enumerate().flat_map(|(number, line)| commands(line).map(move |it| (number + 1, it))));
    }
    let mut named = Vec::new();
    for (line, code) in code {
        named.extend(goals(&code).into_iter().map(|goal| (line, goal)));
    }
    named
}

/// The commands in a line of a source: in backticks, set off in a comment, at the end of a string, after `exec`.
fn commands(line: &str) -> impl Iterator<Item = String> {
    let in_backticks = line.split('`').skip(1).step_by(2).map(str::to_owned);
    let set_off = ["#   ", "//   ", "exec "]
        .iter()
        .filter_map(|mark| line.split_once(mark))
        .map(|(_, rest)| rest.trim().to_owned());
    let in_strings = line.match_indices("make ").filter_map(|(at, _)| {
        let begins = line[..at].ends_with(['"', '\'']) || line[..at].ends_with(": ");
        let end = line[at..].find(['"', '\''])?;
        let one_word = line[at..at + end].split_whitespace().count() == 2;
        (begins && one_word).then(|| line[at..at + end].to_owned())
    });
    in_backticks.chain(set_off).chain(in_strings)
}

/// The goals of all calls of make in a line of shell. A value in quotes may have spaces.
fn goals(code: &str) -> Vec<String> {
    let code = code.split('\'').step_by(2).collect::<Vec<_>>().join("");
    let commands = code.split("&&").flat_map(|part| part.split([';', '|']));
    let arguments = commands.filter_map(|command| command.trim().trim_start_matches("$ ").strip_prefix("make "));
    let words = arguments.flat_map(|rest| rest.split_whitespace().take_while(|word| !word.starts_with('#')));
    let goals = words.filter(|word| !word.contains('=') && !word.starts_with(['-', '<']));
    goals.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEFILE: &str = ".PHONY: a\nA := b\na b: c ## Does.\n\techo d:\na: X := 1\n%/e: f\n$(G):\n# h: i\n";

    fn found(file: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[("Makefile", MAKEFILE), (file, text)]);
        check(&tree).iter().map(|finding| finding.to_string().split(';').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn rules_name_targets_and_variables_do_not() {
        assert_eq!(targets(MAKEFILE).collect::<Vec<_>>(), ["a", "b", "a"]);
    }

    #[test]
    fn an_unknown_target_in_a_page_is_found() {
        let text = "`make a` and `make gone`, make it\n```sh\nmake b X=1 # make sure\nx && make lost\n```\n";

        assert_eq!(
            found("README.md", text),
            ["README.md:1: there is no make target gone", "README.md:4: there is no make target lost"]
        );
    }

    #[test]
    fn an_unknown_target_in_a_source_is_found() {
        let text = "// Run `make gone` first, and make sure.\nfail('link it first: make x/y');\n//   make lost X='1 2' Y=3\n'make a'; 'make it so';";

        let names = ["gone", "x/y", "lost"]
            .iter()
            .zip(1..)
            .map(|(name, line)| format!("a.mjs:{line}: there is no make target {name}"));
        assert_eq!(found("a.mjs", text), names.collect::<Vec<_>>());
        assert_eq!(found("run", "exec make gone"), ["run:1: there is no make target gone"]);
    }
}
