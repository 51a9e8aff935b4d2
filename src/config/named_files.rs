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
    /// Whether the file holds a secret: a key, a password, an address with one, or headers.
    ///
    /// Hashes of tokens are none, because a token cannot be guessed from its hash.
    pub fn is_secret(&self) -> bool {
        let secrets = ["key_file", "keys_file", "password_file", "url_file", "headers_file"];
        secrets.iter().any(|end| self.key.name().ends_with(end))
    }

    /// Whether the file holds certificates.
    pub fn has_certificates(&self) -> bool {
        self.has_authorities() || self.key.name() == "certificate_file"
    }

    /// Whether the file holds certificates of authorities.
    pub fn has_authorities(&self) -> bool {
        self.key.name().ends_with("ca_file")
    }
}

impl LoadedConfig {
    /// Returns the files that settings name: those of settings whose name ends in `_file`, if they are set.
    pub fn named_files(&self) -> Vec<NamedFile> {
        let file = |(key, value): (ConfigKey, toml::Value)| match value {
            toml::Value::String(path) if key.name().ends_with("_file") && !path.is_empty() => {
                Some(NamedFile { key, path: path.into() })
            }
            _ => None,
        };
        self.values().into_iter().filter_map(file).collect()
    }
}
