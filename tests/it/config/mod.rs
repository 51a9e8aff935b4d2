//! The configuration: what is accepted, what is refused, and with which words.

mod default_key;
mod environment;
mod files;
mod invalid;
mod renamed;

use std::ffi::OsString;
use std::path::Path;

use cloakroom::config::{Error, LoadedConfig, load_from};

/// Loads a file of this text in an environment of these variables.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<LoadedConfig, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloakroom.toml");
    std::fs::write(&path, text).unwrap();
    load_file(&path, variables)
}

fn load_file(path: &Path, variables: &[(&str, &str)]) -> Result<LoadedConfig, Error> {
    load_from(Some(path), variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}
