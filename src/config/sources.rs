//! The sources of a configuration: where a value comes from, and whom a wrong one is blamed on.

use super::document::Document;
use super::environment::Variable;
use super::{ConfigKey, Problem, Source, WatchedFiles};
use crate::types::SettingError;

/// What a configuration was read from.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) document: Option<Document>,
    pub(super) variables: Vec<Variable>,
    pub(super) files: WatchedFiles,
}

impl Sources {
    /// Returns where the value of a setting comes from.
    pub(super) fn source_of(&self, key: &ConfigKey) -> Source {
        let variable = self.variables.iter().find(|variable| variable.key == *key);
        let from_environment = variable.map(|variable| Source::Variable(variable.name.clone()));
        let from_file = || self.document.as_ref().and_then(|document| document.source_of(key));
        from_environment.or_else(from_file).unwrap_or(Source::Default)
    }

    /// Adds to an error, whose key begins at the root, the source to look at.
    ///
    /// That is the setting, else a cause that is set, else the nearest table above the setting. For a value that was read
    /// from a file it is the setting that names the file.
    pub(super) fn problem(&self, SettingError { key, causes, message }: SettingError) -> Problem {
        let file_key = file_key(&key);
        let key = if self.source_of(&file_key) == Source::Default { key } else { file_key };
        let tables = (1..key.names().len()).rev().map(|length| ConfigKey::new(&key.names()[..length]));
        let candidates = [key.clone()].into_iter().chain(causes).chain(tables);
        let set = candidates.map(|key| self.source_of(&key)).find(|source| *source != Source::Default);
        Problem { source: set.unwrap_or(Source::Default), key, message }
    }
}

/// Returns the key of the setting that names a file with the value of this one: `keys_file` for `keys`.
pub(super) fn file_key(key: &ConfigKey) -> ConfigKey {
    match key.names().split_last() {
        Some((last, above)) => ConfigKey::new(above).child(&format!("{last}_file")),
        None => ConfigKey::default(),
    }
}
