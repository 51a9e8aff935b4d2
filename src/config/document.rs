//! The configuration file, and the line of each setting in it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{ConfigKey, Problem, Source, WatchedFiles, strict};
use crate::types::SettingError;

/// A configuration file in TOML.
#[derive(Clone)]
pub(super) struct Document {
    path: PathBuf,
    text: String,
    tree: toml::Table,
    /// The lines of its settings and tables.
    lines: HashMap<ConfigKey, usize>,
}

impl Document {
    /// Reads a file, which has to exist.
    pub(super) fn open(path: &Path, files: &WatchedFiles) -> Result<Self, Problem> {
        let problem = |line, message| Problem {
            source: Source::File { path: path.to_owned(), line },
            key: ConfigKey::default(),
            message,
        };
        let text = files.read(path).map_err(|error| problem(None, format!("the file cannot be read: {error}")))?;
        match text.parse::<toml::Table>() {
            Ok(tree) => Ok(Self { path: path.to_owned(), lines: lines(&text), text, tree }),
            // Without the excerpt that the error itself prints, because it may hold a secret.
            Err(error) => {
                let line = error.span().map(|span| line_at(&text, span.start));
                Err(problem(line, format!("this is not TOML: {}", error.message())))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns everything in the file that is not a valid setting, and the text of the rest.
    pub(super) fn check(&self) -> (Vec<Problem>, String) {
        let whole_file = || Source::File { path: self.path.clone(), line: None };
        let problem = |SettingError { key, message, .. }| Problem {
            source: self.source_of(&key).unwrap_or_else(whole_file),
            key,
            message,
        };
        let mut tree = self.tree.clone();
        let problems: Vec<_> = strict::errors(&mut tree).into_iter().map(problem).collect();
        let rest = if problems.is_empty() { self.text.clone() } else { tree.to_string() };
        (problems, rest)
    }

    /// Returns the line of a setting or a table. `None`: the file does not have it.
    pub(super) fn source_of(&self, key: &ConfigKey) -> Option<Source> {
        let line = self.lines.get(key).copied()?;
        Some(Source::File { path: self.path.clone(), line: Some(line) })
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.path.display())
    }
}

/// Finds all lines in one pass: a file may have hundreds of apps.
fn lines(text: &str) -> HashMap<ConfigKey, usize> {
    let ends = text.bytes().enumerate().filter_map(|(at, byte)| (byte == b'\n').then_some(at)).collect::<Vec<_>>();
    let mut lines = HashMap::new();
    if let Ok(root) = DeTable::parse(text) {
        add_lines(&mut lines, &ends, root.get_ref(), &ConfigKey::default());
    }
    lines
}

fn add_lines(lines: &mut HashMap<ConfigKey, usize>, ends: &[usize], table: &DeTable<'_>, at: &ConfigKey) {
    for (name, value) in table {
        let key = at.child(name.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            add_lines(lines, ends, inner, &key);
        }
        lines.insert(key, 1 + ends.partition_point(|end| *end < name.span().start));
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
