//! Circles: modules beside each other do not import each other, directly or by way of others, unless they are small.
//!
//! A re-export counts as what it leads to. Modules that one file declares inside itself, such as tests, do not count. Only
//! paths are followed: who calls a method that another file adds to a type does not use that file, as far as this sees.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust_source::{self, Path};
use crate::tree::{Finding, Tree};

/// The most lines of code that the modules of one circle have together. So many can be read as one module.
const MAX_LINES: usize = 350;

/// The path of a module from the crate's root.
type Module = Vec<String>;

/// A module that uses another one, in the folder of both.
type Edge = (Module, String, String);

/// Checks all folders of `src/`.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    circles(&Modules::read(tree), MAX_LINES)
}

fn circles(modules: &Modules<'_>, max_lines: usize) -> Vec<Finding> {
    let edges = modules.edges();
    let leads = |folder: &Module, from: &str, to: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(module) = next.pop() {
            let range = (folder.clone(), module.clone(), String::new())..;
            let used = edges.range(range).take_while(|((other, user, _), _)| other == folder && *user == module);
            let new: Vec<_> =
                used.map(|((_, _, used), _)| used.clone()).filter(|used| seen.insert(used.clone())).collect();
            next.extend(new);
        }
        seen.contains(to)
    };
    let in_circle = edges.iter().filter(|((folder, user, used), _)| leads(folder, used, user));
    let too_large = in_circle.filter(|((folder, user, _), _)| {
        let all = modules.children(folder);
        let circle = all.iter().filter(|other| leads(folder, user, other) && leads(folder, other, user));
        circle.map(|module| modules.lines(folder, module)).sum::<usize>() > max_lines
    });
    let finding = |((folder, user, used), (file, line)): (&Edge, &(String, usize))| {
        let name = |module: &str| [folder.as_slice(), &[module.to_owned()]].concat().join("::");
        let wrong = format!("{} uses {}, which leads back to it", name(user), name(used));
        Finding::new(file, *line, wrong, "move what both need to a module below them, or pass it in")
    };
    too_large.map(finding).collect()
}

/// The modules of the crate.
struct Modules<'t> {
    files: BTreeMap<Module, (&'t str, &'t str)>,
    paths: BTreeMap<Module, Vec<Path>>,
}

impl<'t> Modules<'t> {
    fn read(tree: &'t Tree) -> Self {
        let sources = tree.ending(".rs").filter(|(file, _)| file.starts_with("src/") && *file != "src/main.rs");
        let sources = sources.filter(|(file, _)| !file.ends_with("/tests.rs"));
        let files: BTreeMap<_, _> = sources.map(|(file, text)| (rust_source::module(file), (file, text))).collect();
        let outside =
            |text| rust_source::paths(&rust_source::code_only(text)).into_iter().filter(|path| path.depth == 0);
        let paths = files.iter().map(|(module, (_, text))| (module.clone(), outside(text).collect())).collect();
        Self { files, paths }
    }

    /// Returns the modules that use each other, with the first place of each use.
    fn edges(&self) -> BTreeMap<Edge, (String, usize)> {
        let mut edges = BTreeMap::new();
        for (user, paths) in &self.paths {
            for path in paths {
                let Some(used) = self.absolute(user, path).and_then(|path| self.resolve(path, 0)) else {
                    continue;
                };
                let common = user.iter().zip(&used).take_while(|(one, other)| one == other).count();
                if let (Some(one), Some(other)) = (user.get(common), used.get(common)) {
                    let place = || (self.files[user].0.to_owned(), path.line);
                    edges.entry((user[..common].to_vec(), one.clone(), other.clone())).or_insert_with(place);
                }
            }
        }
        edges
    }

    /// The path from the root; `None` if it leads out of the crate.
    fn absolute(&self, user: &Module, path: &Path) -> Option<Module> {
        let child = || self.files.contains_key(&[user.as_slice(), &path.segments[..1]].concat());
        path.absolute(user).or_else(|| match path.segments.split_first()? {
            _ if child() => Some([user.as_slice(), &path.segments].concat()),
            (name, rest) => {
                let import = self.imported(user, name).filter(|import| import.segments != path.segments)?;
                self.absolute(user, import).map(|path| [path, rest.to_vec()].concat())
            }
        })
    }

    /// The import that gives a module this name.
    fn imported(&self, user: &Module, name: &str) -> Option<&Path> {
        self.paths[user].iter().find(|path| path.imported_as.as_deref() == Some(name))
    }

    /// The module that has what the path names.
    fn resolve(&self, path: Module, depth: usize) -> Option<Module> {
        let length = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let (module, rest) = (path[..length].to_vec(), &path[length..]);
        let import = rest.first().and_then(|name| self.imported(&module, name)).filter(|_| depth < MAX_REEXPORTS);
        let led = import.and_then(|import| self.absolute(&module, import)).filter(|led| *led != path);
        match led {
            Some(led) => self.resolve([&led, &rest[1..]].concat(), depth + 1),
            None => Some(module),
        }
    }

    fn children(&self, folder: &Module) -> BTreeSet<String> {
        let inside = self.files.keys().filter(|module| module.starts_with(folder));
        inside.filter_map(|module| module.get(folder.len()).cloned()).collect()
    }

    fn lines(&self, folder: &Module, name: &str) -> usize {
        let inside =
            |module: &Module| module.starts_with(folder) && module.get(folder.len()).is_some_and(|own| own == name);
        self.files.iter().filter(|(module, _)| inside(module)).map(|(_, (_, text))| lines_of_code(text)).sum()
    }
}

/// The lines that are neither empty nor a comment, without those of tests.
fn lines_of_code(text: &str) -> usize {
    let tested = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    rust_source::code_only(tested).lines().filter(|line| !line.trim().is_empty()).count()
}

/// More than one after the other is a mistake of the code that reads them.
const MAX_REEXPORTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], max_lines: usize) -> Vec<String> {
        let tree = Tree::of(files);
        circles(&Modules::read(&tree), max_lines).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn two_modules_that_use_each_other_are_found_by_any_kind_of_path() {
        let parent = ("src/s/mod.rs", "mod a; mod b; pub use b::B;");
        let back = ("src/s/b.rs", "\nfn f() -> super::a::A {}");
        for forth in ["use super::B;", "use crate::s::b::B;", "use super::b;", "fn f() -> crate::s::B {}"] {
            let lines = found(&[("src/lib.rs", "mod s;"), parent, ("src/s/a.rs", forth), back], 1);

            assert_eq!(lines.len(), 2, "{forth}: {lines:?}");
            assert!(lines[1].starts_with("src/s/b.rs:2: s::b uses s::a, which leads back to it"), "{lines:?}");
        }
    }

    #[test]
    fn a_circle_by_way_of_a_third_module_and_of_files_in_folders_is_found() {
        let files = [
            ("src/lib.rs", "mod s;"),
            ("src/s/a/deep.rs", "use crate::s::b::B;"),
            ("src/s/b.rs", "use super::c::C;"),
            ("src/s/c.rs", "use super::a::deep::D;"),
            ("src/s/d.rs", "use super::a::deep::D;"),
        ];

        assert_eq!(found(&files, 2).len(), 3);
    }

    #[test]
    fn a_circle_of_few_lines_and_one_of_tests_are_fine() {
        let test = "fn g() {}\nmod tests { use crate::s::a::A; }";
        let small = [("src/s/a.rs", "use super::b::B;"), ("src/s/b.rs", "use super::a::A;")];
        let tested = [("src/s/a.rs", "use super::b::B;"), ("src/s/b.rs", test)];

        assert_eq!(found(&small, 2), [""; 0]);
        assert_eq!(found(&tested, 1), [""; 0]);
    }

    #[test]
    fn a_module_and_the_folder_that_it_is_in_may_use_each_other() {
        let files = [("src/s/mod.rs", "mod a; use a::A;"), ("src/s/a.rs", "use super::S;")];

        assert_eq!(found(&files, 0), [""; 0]);
    }
}
