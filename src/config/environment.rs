//! Settings from the environment: `CLOAKROOM__STORE__KIND` is `store.kind`.
//!
//! A variable is text. It is read as whatever its setting takes: text as it stands, else a number or
//! `true`/`false`, else a list separated by commas. An empty variable counts as unset.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::{ConfigKey, Problem, Source, strict};
use crate::types::Secret;

/// All variables of an environment, by name.
pub(super) type Environment = BTreeMap<OsString, OsString>;

/// The caller token for commands that call a service, if `CLOAKROOM_CALLER_TOKEN` holds one.
pub fn caller_token() -> Option<Secret> {
    #[expect(clippy::disallowed_methods, reason = "the environment is read in config/ alone")]
    std::env::var("CLOAKROOM_CALLER_TOKEN").ok().filter(|token| !token.is_empty()).map(Secret::from)
}

/// One setting from the environment, of the type that the setting takes.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) key: ConfigKey,
    pub(super) value: toml::Value,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variable({})", self.name)
    }
}

/// The settings in an environment, and what is wrong with them.
pub(super) fn variables(environment: &Environment) -> (Vec<Variable>, Vec<Problem>) {
    let (mut variables, mut problems) = (Vec::<Variable>::new(), Vec::new());
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|_| !value.is_empty()) else { continue };
        match read(name, value.to_str()) {
            Ok(Some(variable)) => match variables.iter().find(|other| other.key == variable.key) {
                Some(other) => problems.push(problem(name, &variable.key, format!("{} says it too", other.name))),
                None => variables.push(variable),
            },
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    (variables, problems)
}

fn read(name: &str, text: Option<&str>) -> Result<Option<Variable>, Problem> {
    let Some(key) = key(name) else { return misspelt(name).map_or(Ok(None), Err) };
    let Some(text) = text else { return Err(problem(name, &key, "its value is not UTF-8 text".to_owned())) };
    match typed(&key, text) {
        Ok(value) => Ok(Some(Variable { name: name.to_owned(), key, value })),
        Err(fault) => Err(problem(name, &fault.key, fault.message)),
    }
}

/// The setting that a variable is for; none if it is for somebody else.
fn key(name: &str) -> Option<ConfigKey> {
    let (prefix, rest) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then(|| ConfigKey::new(rest.to_ascii_lowercase().split(SEPARATOR)))
}

/// The value as the setting takes it, or what is wrong with it at the most telling attempt.
fn typed(key: &ConfigKey, text: &str) -> Result<toml::Value, strict::KeyProblem> {
    let attempt = |value: toml::Value| strict::check(key.tree(value.clone())).map(|()| value);
    let as_text = attempt(toml::Value::String(text.to_owned()));
    let as_scalar = || scalar(text).map(attempt);
    let as_list = || attempt(text.split(',').map(str::trim).collect::<Vec<_>>().into());
    let Err(fault) = as_text else { return as_text };
    let fault = match as_scalar() {
        Some(Ok(value)) => return Ok(value),
        Some(Err(fault)) => fault,
        None => fault,
    };
    as_list().map_err(|_| fault)
}

fn scalar(text: &str) -> Option<toml::Value> {
    let text = text.trim();
    let integer = || text.parse::<i64>().ok().map(toml::Value::Integer);
    let boolean = || text.parse::<bool>().ok().map(toml::Value::Boolean);
    let float = || text.parse::<f64>().ok().map(toml::Value::Float);
    integer().or_else(boolean).or_else(float)
}

/// A name that is a setting's but for the underscores: it would be ignored without a word.
///
/// Other names that begin with `CLOAKROOM_` are left alone: Kubernetes adds some for a service's address.
fn misspelt(name: &str) -> Option<Problem> {
    let rest = name.strip_prefix("CLOAKROOM_")?;
    let meant = leaves(&strict::defaults(), &ConfigKey::default())
        .into_iter()
        .find(|key| key.names().join("_").to_ascii_uppercase() == rest.replace("__", "_"))?;
    let right = format!("{PREFIX}{}", meant.names().join(SEPARATOR).to_ascii_uppercase());
    Some(problem(name, &meant, format!("words are kept apart by two underscores; write {right}")))
}

/// All settings of a tree.
fn leaves(tree: &toml::Table, at: &ConfigKey) -> Vec<ConfigKey> {
    let below = |(name, value): (&String, &toml::Value)| {
        let key = ConfigKey::new(at.names().iter().chain([name]));
        value.as_table().map_or_else(|| vec![key.clone()], |inner| leaves(inner, &key))
    };
    tree.iter().flat_map(below).collect()
}

fn problem(name: &str, key: &ConfigKey, message: String) -> Problem {
    Problem { source: Source::Variable(name.to_owned()), key: key.clone(), message }
}

const PREFIX: &str = "CLOAKROOM__";
const SEPARATOR: &str = "__";
