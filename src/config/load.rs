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
    load_watched(file, WatchedFiles::default()).0
}

/// As [`load()`], in a process that has loaded this file before. Also returns the files that were read, even if the
/// configuration is wrong.
///
/// Refuses pipes, also where settings name files: they can be read only once, and are empty now.
pub fn load_again(file: Option<&Path>) -> (Result<LoadedConfig, Error>, WatchedFiles) {
    load_watched(file, WatchedFiles::of_reload())
}

fn load_watched(file: Option<&Path>, files: WatchedFiles) -> (Result<LoadedConfig, Error>, WatchedFiles) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let environment = env::vars_os();
    (load_and_watch(&files, file, environment), files)
}

/// As [`load()`], in a given environment.
pub fn load_from(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<LoadedConfig, Error> {
    load_and_watch(&WatchedFiles::default(), file, environment)
}

/// Loads the tables `server` and `admin` as [`load()`] does, and gives all other settings their defaults.
///
/// Errors elsewhere do not matter, and the files that settings name are not read: a service that runs has read its own.
/// Fails if these tables are wrong or the file is no TOML.
pub fn load_listeners(file: Option<&Path>) -> Result<Settings, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a command that asks a service reads the environment as the service does"
    )]
    let environment = env::vars_os().collect::<Environment>();
    let (mut variables, mut problems) = environment::variables(&environment);
    variables.retain(|variable| is_of_listeners(&variable.key));
    let files = WatchedFiles::default();
    let document = find_file(file, &environment, &files).map(|path| Document::open(&path, &files)).transpose()?;
    let (wrong, valid_text) = document.as_ref().map(Document::check).unwrap_or_default();
    problems.extend(wrong);
    problems.retain(|problem| is_of_listeners(&problem.key));
    if !problems.is_empty() {
        return Err(Error::of(problems));
    }
    let mut tables = valid_text.parse::<toml::Table>().unwrap_or_default();
    tables.retain(|table, _| is_of_listeners(&ConfigKey::from(table)));
    merge(&tables.to_string(), &variables).map_err(merge_problem)
}

fn is_of_listeners(key: &ConfigKey) -> bool {
    key.names().first().is_some_and(|table| LISTENER_TABLES.contains(&table.as_str()))
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
            return Err(Error::of(problems));
        }
    };
    let (wrong, valid_text) = document.as_ref().map(Document::check).unwrap_or_default();
    problems.extend(wrong);
    let settings = match merge(&valid_text, &variables) {
        Ok(settings) => settings,
        Err(error) if problems.is_empty() => return Err(merge_problem(error)),
        // What was removed is needed to read the rest.
        Err(_) => return Err(Error::of(problems)),
    };
    let built = build(settings, Sources { document, variables, files: files.clone() });
    if problems.is_empty() {
        return built;
    }
    let more = built.err().map(Error::into_problems).unwrap_or_default();
    let unrelated = |problem: &Problem| problems.iter().all(|wrong| !may_cause(&wrong.key, &problem.key));
    let more = more.into_iter().filter(unrelated).collect::<Vec<_>>();
    problems.extend(more);
    Err(Error::of(problems))
}

/// Whether a value may be wrong only because another one was wrong and was removed.
fn may_cause(removed: &ConfigKey, wrong: &ConfigKey) -> bool {
    match (removed.names(), wrong.names()) {
        // A whole table: callers name apps, and listeners need callers.
        ([] | [_], _) => true,
        ([table, _], _) if ["apps", "callers"].contains(&table.as_str()) => true,
        ([apps, app, ..], [other_table, other, ..]) if apps == "apps" => other_table == "apps" && other == app,
        ([table, ..], [other, ..]) => {
            let of_listeners = |table: &String| table == "callers" || LISTENER_TABLES.contains(&table.as_str());
            table == other || of_listeners(table) && of_listeners(other)
        }
        (_, []) => false,
    }
}

fn build(mut settings: Settings, sources: Sources) -> Result<LoadedConfig, Error> {
    settings.apps.entry(AppName::DEFAULT.to_owned()).or_default();
    LoadedConfig::build(settings, sources)
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
fn merge(file: &str, variables: &[Variable]) -> Result<Settings, ConfigError> {
    let mut layers = Config::builder().add_source(File::from_str(file, FileFormat::Toml));
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
const LISTENER_TABLES: [&str; 2] = ["server", "admin"];
const DEFAULT_FILE: &str = "cloakroom.toml";
