//! The map of the code: what the walk in `src/lib.rs` names is there, and `docs/architecture.md` lists the layers as
//! they are.

use crate::layers::LAYERS;
use crate::tree::{Finding, Tree};

const WALK: &str = "src/lib.rs";
const PAGE: &str = "docs/architecture.md";

/// Checks the walk and the table of layers.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let code: String = tree.ending(".rs").filter(|(file, _)| file.starts_with("src/")).map(|(_, text)| text).collect();
    let mut findings = missing(tree.text(WALK).unwrap_or_default(), &code);
    findings.extend(other_layers(tree.text(PAGE).unwrap_or_default()));
    findings
}

/// The functions and types that the walk names and the code does not have.
fn missing(walk: &str, code: &str) -> Vec<Finding> {
    let is_there = |name: &str| {
        let kinds = ["fn ", "struct ", "enum ", "trait ", "mod "];
        kinds.iter().any(|kind| {
            code.match_indices(&format!("{kind}{name}")).any(|(at, found)| {
                !code[at + found.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
            })
        })
    };
    let lines = walk.lines().enumerate().filter_map(|(number, line)| Some((number + 1, line.strip_prefix("//!")?)));
    let names: Vec<_> = lines.flat_map(|(number, line)| names(line).map(move |name| (number, name))).collect();
    if names.is_empty() {
        return vec![Finding::new(WALK, 1, "the walk is gone".to_owned(), "let WALK name the file that has it")];
    }
    let missing = names.into_iter().filter(|(_, name)| !name.split("::").all(is_there));
    let finding = |(number, name)| {
        Finding::new(WALK, number, format!("{name} is not in the code"), "name what the call passes now")
    };
    missing.map(finding).collect()
}

/// The names of Rust in a line, which stand between backticks. A word without `_`, `::` or a capital may be anything.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    let names = spans.map(|span| span.trim_end_matches("()"));
    names.filter(|name| {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
        is_name && (name.contains(['_', ':']) || name.starts_with(|c: char| c.is_ascii_uppercase()))
    })
}

/// Compares the first column of the page's table of layers with the layers.
fn other_layers(page: &str) -> Option<Finding> {
    let mut lines = page.lines().enumerate().skip_while(|(_, line)| !line.starts_with("| layer |")).skip(2);
    let (begin, _) = lines.clone().next().unwrap_or_default();
    let rows = lines.by_ref().map_while(|(_, line)| line.strip_prefix("| `")?.split('`').next());
    let wrong = "the table has other layers than the code, or in another order".to_owned();
    (!rows.eq(LAYERS.iter().copied()))
        .then(|| Finding::new(PAGE, begin + 1, wrong, "list them as LAYERS in layers.rs does"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_is_not_there_any_more_is_found() {
        let walk = "//! 1. `Service::open` begins, `AppCall::closes` ends it (`find_session`, `token`).\n";
        let code = "struct Service; struct AppCall; fn open() {} fn find_session<T>() {} fn closes_all() {}";

        let found: Vec<_> = missing(walk, code).iter().map(ToString::to_string).collect();

        assert!(found.len() == 1 && found[0].contains("AppCall::closes is not in the code"), "{found:?}");
    }

    #[test]
    fn a_layer_that_is_not_listed_is_found() {
        let rows: String = LAYERS.iter().map(|layer| format!("| `{layer}` | what it does |\n")).collect();
        let page = format!("# Layers\n\n| layer | what it does |\n|---|---|\n{rows}\nThe end.\n");

        assert_eq!(other_layers(&page), None);
        let missing = page.replace("| `store` | what it does |\n", "");
        assert!(other_layers(&missing).unwrap().to_string().contains("docs/architecture.md:5"));
    }
}
