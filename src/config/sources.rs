//! The sources of a configuration: where a value comes from, and where to correct a wrong one.

use super::document::Document;
use super::environment::Variable;
use super::{ConfigKey, Problem, Source, WatchedFiles};
use crate::types::SettingError;

/// The sources that a configuration was read from.
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

    /// Adds the source to correct to an error whose key begins at the root.
    ///
    /// That is the source of the setting, else of a cause that is set, else of the nearest table above the setting. A
    /// value that was read from a file is the problem of the setting that names the file.
    pub(super) fn problem(&self, SettingError { key, causes, message }: SettingError) -> Problem {
        let may_be_in_file = key.names().last().is_some_and(|name| IN_FILES.contains(&name.as_str()));
        let is_in_file = may_be_in_file && self.source_of(&file_key(&key)) != Source::Default;
        let key = if is_in_file { file_key(&key) } else { key };
        let tables = (1..key.names().len()).rev().map(|length| ConfigKey::new(&key.names()[..length]));
        let candidates = [key.clone()].into_iter().chain(causes).chain(tables);
        let set = candidates.map(|key| self.source_of(&key)).find(|source| *source != Source::Default);
        Problem { source: set.unwrap_or(Source::Default), key, message }
    }
}

/// Returns the key of the setting that names a file with the value of this one: `keys_file` for `keys`.
pub(super) fn file_key(key: &ConfigKey) -> ConfigKey {
    let (last, table) = key.names().split_last().expect("a setting has a name");
    ConfigKey::new(table).child(&format!("{last}_file"))
}

/// The settings whose values may be in a file.
const IN_FILES: [&str; 4] = ["keys", "signer_keys", "token_hashes", "url"];
