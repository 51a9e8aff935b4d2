//! Secrets that are in files of their own, as an orchestrator mounts them. A setting names the file.

use std::path::Path;

use super::sources::{Sources, file_key};
use super::{ConfigKey, Problem, Source, key_file};
use crate::types::{Secret, SettingError};

/// What a list of secrets holds, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum SecretKind {
    Key,
    TokenHash,
}

impl Sources {
    /// Reads the secrets of the setting `key` from `file`. Without a file they stay as they are.
    pub(super) fn read_secrets(
        &self,
        key: &ConfigKey,
        file: Option<&Path>,
        secrets: &mut Vec<Secret>,
        kind: SecretKind,
    ) -> Result<(), Problem> {
        let Some(file) = file else { return Ok(()) };
        let error = |message| self.problem(SettingError::new(file_key(key), message));
        if !secrets.is_empty() {
            return Err(self.set_twice(key));
        }
        let (name, command) = match kind {
            SecretKind::Key => ("key", "cloakroom keygen"),
            SecretKind::TokenHash => ("hash", "cloakroom caller-token"),
        };
        *secrets = key_file::read(file, &self.files)
            .map_err(|cause| error(format!("{} cannot be read: {cause}", file.display())))?;
        if secrets.is_empty() {
            return Err(error(format!("there is no {name} in {}; `{command}` makes one", file.display())));
        }
        Ok(())
    }

    /// Reads the address of the setting `key` from `file`.
    pub(super) fn read_url(&self, key: &ConfigKey, file: &Path) -> Result<String, Problem> {
        if self.source_of(key) != Source::Default {
            return Err(self.set_twice(key));
        }
        let unreadable = |cause| {
            self.problem(SettingError::new(file_key(key), format!("{} cannot be read: {cause}", file.display())))
        };
        Ok(self.files.read(file).map_err(unreadable)?.trim().to_owned())
    }

    /// The problem of a setting that has a value and a file.
    fn set_twice(&self, key: &ConfigKey) -> Problem {
        let name = key.names().last().map(String::as_str).unwrap_or_default();
        let message = format!("{} gives {name} as well; remove one of the two", self.source_of(key));
        self.problem(SettingError::new(file_key(key), message))
    }
}
