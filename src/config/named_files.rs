//! The files that settings name.

use std::path::PathBuf;

use super::{ConfigKey, LoadedConfig};

/// A file that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The setting.
    pub key: ConfigKey,
    /// The path as it was given.
    pub path: PathBuf,
}

impl NamedFile {
    /// Whether the file holds a secret: a key, a password, or an address with one.
    ///
    /// Hashes of tokens are none, because a token cannot be guessed from its hash.
    pub fn is_secret(&self) -> bool {
        let secrets = ["key_file", "keys_file", "password_file", "url_file"];
        secrets.iter().any(|end| self.setting().ends_with(end))
    }

    /// Whether the file holds certificates.
    pub fn has_certificates(&self) -> bool {
        self.has_authorities() || self.setting() == "certificate_file"
    }

    /// Whether the file holds certificates of authorities.
    pub fn has_authorities(&self) -> bool {
        self.setting().ends_with("ca_file")
    }

    fn setting(&self) -> &str {
        self.key.names().last().map(String::as_str).unwrap_or_default()
    }
}

impl LoadedConfig {
    /// Returns the files that settings name: those of settings whose name ends in `_file`, if they are set.
    pub fn named_files(&self) -> Vec<NamedFile> {
        let tree = toml::Table::try_from(&self.settings).expect("settings can be written as TOML");
        let mut files = Vec::new();
        collect(&mut files, &tree, &ConfigKey::default());
        files
    }
}

fn collect(files: &mut Vec<NamedFile>, table: &toml::Table, at: &ConfigKey) {
    for (name, value) in table {
        let key = at.child(name);
        match value {
            toml::Value::Table(inner) => collect(files, inner, &key),
            toml::Value::String(path) if name.ends_with("_file") && !path.is_empty() => {
                files.push(NamedFile { key, path: path.into() });
            }
            _ => {}
        }
    }
}
