//! The configuration file, and the line of each setting in it.

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
            Ok(tree) => Ok(Self { path: path.to_owned(), text, tree }),
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
        let root = DeTable::parse(&self.text).ok()?;
        let mut table = root.get_ref();
        let mut start = None;
        for (n, name) in key.names().iter().enumerate() {
            let (found, value) = table.iter().find(|(found, _)| found.get_ref().as_ref() == name)?;
            start = Some(found.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ if n + 1 < key.names().len() => return None,
                _ => {}
            }
        }
        let line = start.map(|start| line_at(&self.text, start));
        Some(Source::File { path: self.path.clone(), line })
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.path.display())
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
