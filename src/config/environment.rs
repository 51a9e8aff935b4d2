//! Settings from the environment: `CLOAKROOM__STORE__KIND` is `store.kind`.
//!
//! A variable is text. It is read as the type of its setting: text as it is, else a number or `true`/`false`, else a
//! list separated by commas. An empty variable counts as unset.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::strict::{self, Children};
use super::{ConfigKey, Problem, Source};
use crate::types::{Secret, SettingError};

/// All variables of an environment, by name.
pub(super) type Environment = BTreeMap<OsString, OsString>;

/// Returns the caller token for commands that call a service. `None`: `CLOAKROOM_CALLER_TOKEN` is not set.
pub fn caller_token() -> Option<Secret> {
    #[expect(clippy::disallowed_methods, reason = "the environment is read in config/ alone")]
    std::env::var("CLOAKROOM_CALLER_TOKEN").ok().filter(|token| !token.is_empty()).map(Secret::from)
}

/// A setting from the environment. The value has the type of the setting.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) key: ConfigKey,
    pub(super) value: toml::Value,
}

impl fmt::Debug for Variable {
    /// Leaves out the value, because it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variable({})", self.name)
    }
}

/// Returns the settings in an environment, and what is wrong with them.
pub(super) fn variables(environment: &Environment) -> (Vec<Variable>, Vec<Problem>) {
    let (mut variables, mut problems) = (Vec::<Variable>::new(), Vec::new());
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|_| !value.is_empty()) else { continue };
        let mut add_problem = |SettingError { key, message, .. }| {
            problems.push(Problem { source: Source::Variable(name.to_owned()), key, message });
        };
        match read(name, value.to_str()) {
            Ok(Some(variable)) => match variables.iter().find(|other| other.key == variable.key) {
                Some(other) => add_problem(SettingError::new(variable.key, format!("{} says it too", other.name))),
                None => variables.push(variable),
            },
            Ok(None) => {}
            Err(error) => add_problem(error),
        }
    }
    (variables, problems)
}

/// Reads a variable. `None`: it is no setting.
fn read(name: &str, text: Option<&str>) -> Result<Option<Variable>, SettingError> {
    let Some(key) = setting_key(name) else { return check_underscores(name).map(|()| None) };
    let Some(text) = text else { return Err(SettingError::new(key, "its value is not UTF-8 text")) };
    let value = parse_value(&key, text)?;
    Ok(Some(Variable { name: name.to_owned(), key, value }))
}

/// Returns the setting of a variable. `None`: the name does not begin as that of a setting.
fn setting_key(name: &str) -> Option<ConfigKey> {
    let (prefix, rest) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then(|| ConfigKey::new(rest.to_ascii_lowercase().split(SEPARATOR)))
}

/// Reads the text as the type of its setting. The error is that of the most specific type that was tried.
fn parse_value(key: &ConfigKey, text: &str) -> Result<toml::Value, SettingError> {
    let try_value = |value: toml::Value| strict::check(strict::tree(key, value.clone())).map(|()| value);
    let as_text = try_value(toml::Value::String(text.to_owned()));
    let as_list = || try_value(text.split(',').map(str::trim).collect::<Vec<_>>().into());
    let Err(error) = as_text else { return as_text };
    let error = match scalar(text).map(try_value) {
        Some(Ok(value)) => return Ok(value),
        Some(Err(error)) => error,
        None => error,
    };
    as_list().map_err(|_| error)
}

fn scalar(text: &str) -> Option<toml::Value> {
    let text = text.trim();
    let integer = || text.parse::<i64>().ok().map(toml::Value::Integer);
    let boolean = || text.parse::<bool>().ok().map(toml::Value::Boolean);
    let float = || text.parse::<f64>().ok().map(toml::Value::Float);
    integer().or_else(boolean).or_else(float)
}

/// Refuses the name of a setting with wrong underscores, which would be ignored silently.
///
/// Other names that begin with `CLOAKROOM_` are allowed: Kubernetes adds some for the address of a service.
fn check_underscores(name: &str) -> Result<(), SettingError> {
    let Some(rest) = name.strip_prefix("CLOAKROOM_") else { return Ok(()) };
    let words = rest.replace(SEPARATOR, "_").to_ascii_lowercase();
    let Some(key) = find_setting(&ConfigKey::default(), &words) else { return Ok(()) };
    let right = format!("{PREFIX}{}", key.names().join(SEPARATOR).to_ascii_uppercase());
    Err(SettingError::new(key, format!("words are kept apart by two underscores; write {right}")))
}

/// Finds the setting whose names below `at` are these words, of which each may be a part of a name.
fn find_setting(at: &ConfigKey, words: &str) -> Option<ConfigKey> {
    let in_table = |name: String| {
        let key = at.child(&name);
        match words.strip_prefix(&name)? {
            "" => matches!(strict::children(&key), Children::None).then_some(key),
            rest => find_setting(&key, rest.strip_prefix('_')?),
        }
    };
    match strict::children(at) {
        Children::None => None,
        Children::Names(names) => names.into_iter().find_map(in_table),
        Children::AnyName => {
            let ends = words.match_indices('_');
            ends.map(|(end, _)| words.split_at(end)).find_map(|(name, rest)| find_setting(&at.child(name), &rest[1..]))
        }
    }
}

const PREFIX: &str = "CLOAKROOM__";
const SEPARATOR: &str = "__";
