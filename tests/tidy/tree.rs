//! The files of the repository, and what is found wrong in them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The text files that git tracks, by their path from the root.
pub(crate) struct Tree {
    texts: BTreeMap<String, String>,
}

impl Tree {
    /// Reads all files. Without git it walks the folders and leaves out what is built or installed.
    pub(crate) fn read() -> Self {
        let root = root();
        let names = tracked(&root).unwrap_or_else(|| walk(&root));
        // A file that is deleted and not yet committed is still tracked. One that is no UTF-8 exists without a text.
        let read = |name: String| Some((std::fs::read(root.join(&name)).ok()?, name));
        let text = |(bytes, name)| (name, String::from_utf8(bytes).unwrap_or_default());
        Self { texts: names.into_iter().filter_map(read).map(text).collect() }
    }

    /// A tree that a test makes up.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self { texts: files.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect() }
    }

    /// Path and text of each file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Path and text of each file whose name ends like this.
    pub(crate) fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(move |(name, _)| name.ends_with(end))
    }

    /// The text of a file.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// Whether there is a file or a folder of this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let is_folder = || self.texts.range(folder.clone()..).next().is_some_and(|(name, _)| name.starts_with(&folder));
        path.is_empty() || self.texts.contains_key(path) || is_folder()
    }
}

/// Something to correct.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    wrong: String,
    todo: String,
}

impl Finding {
    /// Says where it is, what is wrong and what to do.
    pub(crate) fn new(file: &str, line: usize, wrong: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, wrong: wrong.into(), todo: todo.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, wrong, todo } = self;
        write!(f, "{file}:{line}: {wrong}; {todo}")
    }
}

/// The path that `relative` leads to from the folder of `file`; `None` if it leaves the repository.
pub(crate) fn resolve(file: &str, relative: &str) -> Option<String> {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts = folder.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The line of a byte of the text, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
}

/// Cargo says where the package is. Without cargo it is the working directory.
fn root() -> PathBuf {
    option_env!("CARGO_MANIFEST_DIR").map_or_else(|| std::env::current_dir().unwrap(), PathBuf::from)
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names = names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    (output.status.success() && !names.is_empty()).then_some(names)
}

fn walk(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
            match entry.file_type().unwrap() {
                _ if skipped => {}
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => {
                    names.extend(entry.path().strip_prefix(root).unwrap().to_str().map(str::to_owned))
                }
                _ => {}
            }
        }
    }
    names
}

/// Folders that hold nothing of the project's own.
const SKIPPED: [&str; 5] = [".git", "target", ".tools", "node_modules", "__pycache__"];

#[test]
fn a_tree_knows_its_files_and_folders() {
    let tree = Tree::of(&[("src/a/b.rs", ""), ("src/ab.rs", "")]);

    let has = ["src/a/b.rs", "src/a", "src", "", "src/b", "a", "src/ab"].map(|path| tree.has(path));

    assert_eq!(has, [true, true, true, true, false, false, false]);
}

#[test]
fn a_relative_path_starts_in_the_folder_of_its_file() {
    assert_eq!(resolve("docs/a.md", "../src/b.rs").unwrap(), "src/b.rs");
    assert_eq!(resolve("README.md", "./docs/").unwrap(), "docs");
    assert_eq!(resolve("README.md", "../x"), None);
}

#[test]
fn a_finding_says_where_it_is_and_what_to_do() {
    assert_eq!(Finding::new("a.rs", 3, "wrong", "correct it").to_string(), "a.rs:3: wrong; correct it");
}
