//! Secrets in files of their own. A setting names the file.
//!
//! The mode of such a file is not checked, because an orchestrator sets it where it mounts secrets.

use std::path::Path;

use super::sources::{Sources, file_key};
use super::{ConfigKey, Problem, Source};
use crate::types::{Secret, SettingError};

/// The kind of the secrets of a list, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum SecretKind {
    Key,
    /// The key of a web framework, which may be any text.
    FrameworkKey,
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
        let text = self.files.read(file);
        let text = text.map_err(|cause| error(format!("{} cannot be read: {cause}", file.display())))?;
        if let (SecretKind::FrameworkKey, Some(line)) = (kind, unclear_line(&text)) {
            let remedy = "remove an old key, begin a comment with # and a space, and write a key that begins with # as base64:...";
            return Err(error(format!("line {line} of {} begins with #; {remedy}", file.display())));
        }
        *secrets = parse(&text);
        if secrets.is_empty() {
            let (name, remedy) = match kind {
                SecretKind::Key => ("key", "; `cloakroom keygen` makes one"),
                SecretKind::FrameworkKey => ("key", ""),
                SecretKind::TokenHash => ("hash", "; `cloakroom caller-token` makes one"),
            };
            return Err(error(format!("there is no {name} in {}{remedy}", file.display())));
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

    /// Returns the problem of a setting that has both a value and a file.
    fn set_twice(&self, key: &ConfigKey) -> Problem {
        let name = key.names().last().map(String::as_str).unwrap_or_default();
        let message = format!("{} gives {name} as well; remove one of the two", self.source_of(key));
        self.problem(SettingError::new(file_key(key), message))
    }
}

/// Returns the secrets in the text of a file: one on each line. Empty lines and lines that begin with `#` do not count.
pub(super) fn parse(text: &str) -> Vec<Secret> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Secret::from(line.to_owned())).collect()
}

/// Returns the number of the first line that may be a comment or a key: one of fifty keys of Django begins with `#`.
fn unclear_line(text: &str) -> Option<usize> {
    let is_unclear = |line: &str| {
        let rest = line.trim().strip_prefix('#').unwrap_or_default();
        !rest.is_empty() && !rest.starts_with([' ', '\t'])
    };
    text.lines().position(is_unclear).map(|index| index + 1)
}
