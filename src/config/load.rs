//! Reads a configuration from its sources.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat};

use super::document::Document;
use super::environment::{self, Environment, Variable};
use super::sources::Sources;
use super::{ConfigKey, Error, LoadedConfig, Problem, Settings, Source, WatchedFiles};
use crate::types::AppName;

/// Loads `file`, else the file that `CLOAKROOM_CONFIG` names, else `cloakroom.toml` if it exists.
///
/// Variables of the environment win over the file. A file that is named has to exist.
pub fn load(file: Option<&Path>) -> Result<LoadedConfig, Error> {
    load_watched(file).0
}

/// As [`load()`]. Also returns the files that were read, even if the configuration is wrong.
pub fn load_watched(file: Option<&Path>) -> (Result<LoadedConfig, Error>, WatchedFiles) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let environment = env::vars_os();
    let files = WatchedFiles::default();
    (load_and_watch(&files, file, environment), files)
}

/// As [`load()`], in a given environment.
pub fn load_from(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<LoadedConfig, Error> {
    load_and_watch(&WatchedFiles::default(), file, environment)
}

fn load_and_watch(
    files: &WatchedFiles,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<LoadedConfig, Error> {
    let environment = environment.into_iter().collect::<Environment>();
    let (variables, mut problems) = environment::variables(&environment);
    let document = match find_file(file, &environment, files).map(|path| Document::open(&path, files)).transpose() {
        Ok(document) => document,
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    problems.extend(document.iter().flat_map(Document::problems));
    Error::unless_none(problems)?;

    let mut settings = merge(document.as_ref(), &variables).map_err(merge_problem)?;
    settings.apps.entry(AppName::DEFAULT.to_owned()).or_default();
    LoadedConfig::build(settings, Sources { document, variables, files: files.clone() })
}

fn find_file(file: Option<&Path>, environment: &Environment, files: &WatchedFiles) -> Option<PathBuf> {
    let from_variable = || environment.get(&OsString::from(FILE_VARIABLE)).filter(|value| !value.is_empty());
    let default = || {
        // Watched even if it is missing, because it may be written later.
        files.watch(Path::new(DEFAULT_FILE));
        Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists())
    };
    file.map(Path::to_owned).or_else(|| from_variable().map(PathBuf::from)).or_else(default)
}

/// Puts the sources on top of each other. Tables are merged, lists replace each other.
fn merge(document: Option<&Document>, variables: &[Variable]) -> Result<Settings, ConfigError> {
    let mut layers = Config::builder();
    if let Some(document) = document {
        layers = layers.add_source(File::from_str(document.text(), FileFormat::Toml));
    }
    for Variable { key, value, .. } in variables {
        layers = layers.set_override(key.names().join("."), config_value(value))?;
    }
    layers.build()?.try_deserialize()
}

fn config_value(value: &toml::Value) -> config::Value {
    match value {
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Array(items) => items.iter().map(config_value).collect::<Vec<_>>().into(),
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Datetime(_) | toml::Value::Table(_) => config::ValueKind::Nil.into(),
    }
}

/// The problem of sources that are right each by itself, but not together.
fn merge_problem(error: ConfigError) -> Error {
    let message = format!("file and environment do not fit together: {error}");
    Problem { source: Source::Default, key: ConfigKey::default(), message }.into()
}

const FILE_VARIABLE: &str = "CLOAKROOM_CONFIG";
const DEFAULT_FILE: &str = "cloakroom.toml";
