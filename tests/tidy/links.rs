//! Links in pages: to files that exist, and to headings that exist.

use std::collections::BTreeMap;

use crate::markdown::Page;
use crate::tree::{self, Finding, Tree};

/// The pages, each taken apart once.
type Pages<'t> = BTreeMap<&'t str, Page>;

/// Checks all pages.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let pages: Pages<'_> = tree.ending(".md").map(|(file, text)| (file, Page::parse(text))).collect();
    pages.keys().flat_map(|file| broken(tree, &pages, file)).collect()
}

/// The links of a page that lead nowhere.
fn broken(tree: &Tree, pages: &Pages<'_>, file: &str) -> Vec<Finding> {
    let page = &pages[file];
    let relative = page.links().into_iter().filter(|(_, target)| !is_elsewhere(target));
    let of = |(at, target): (usize, &str)| {
        let (wrong, todo) = problem(tree, pages, file, target)?;
        Some(Finding::new(file, tree::line_of(&page.prose, at), wrong, todo))
    };
    relative.filter_map(of).collect()
}

/// What is wrong with a link, and what to do.
fn problem(tree: &Tree, pages: &Pages<'_>, file: &str, target: &str) -> Option<(String, &'static str)> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let found = if path.is_empty() { Some(file.to_owned()) } else { tree::resolve(file, path) };
    let Some(found) = found.filter(|found| !path.starts_with('/') && tree.has(found)) else {
        return Some((
            format!("the link {target} leads to no file that git tracks"),
            "correct the link, or add the file",
        ));
    };
    let anchor = anchor?;
    let known = match pages.get(found.as_str()) {
        Some(page) => page.anchors.iter().any(|known| known == anchor),
        // A line of a source.
        None => anchor.starts_with('L'),
    };
    (!known).then(|| {
        (format!("{found} has no heading #{anchor}"), "name one of its headings, as GitHub writes it in a link")
    })
}

/// Whether the target begins with a scheme, such as `https:`.
fn is_elsewhere(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        || target.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tree = Tree::of(&[("docs/a.md", text), ("docs/b.md", "# One two"), ("src/c.rs", "")]);
        check(&tree).iter().map(|finding| finding.to_string().split(';').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_link_that_leads_to_no_file_is_found() {
        let text = "# A\n[x](gone.md)\n[y](../../out.md) [z](/docs/b.md)";

        let wrong = |line, target| format!("docs/a.md:{line}: the link {target} leads to no file that git tracks");
        assert_eq!(found(text), [wrong(2, "gone.md"), wrong(3, "../../out.md"), wrong(3, "/docs/b.md")]);
    }

    #[test]
    fn an_anchor_that_no_heading_has_is_found() {
        let text = "# A\n[x](#a) [y](#b) [z](b.md#one-two) [w](b.md#two) [v](../src/c.rs#L1)";

        assert_eq!(
            found(text),
            ["docs/a.md:2: docs/a.md has no heading #b", "docs/a.md:2: docs/b.md has no heading #two"]
        );
    }

    #[test]
    fn links_to_files_folders_and_other_sites_are_fine() {
        assert_eq!(
            found("[a](b.md) [b](../src) [c](../src/) [d](https://example.com/x) [e](mailto:a@b.example)"),
            [""; 0]
        );
    }
}
