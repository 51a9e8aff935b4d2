//! The check of one source by itself, without a single silent conversion.
//!
//! `config` reads `1.7` as 2, `true` as 1 and `5` as "5"; serde on a TOML tree does not. So each source
//! is read here first, and `config` only lays on top of each other what is known to fit.

use std::collections::BTreeMap;

use super::{ConfigKey, Settings, renamed};
use crate::auth::CallerSettings;

/// One key that cannot be read.
#[derive(Clone, Debug)]
pub(super) struct KeyProblem {
    pub(super) key: ConfigKey,
    pub(super) message: String,
}

/// Whether a tree can be read.
pub(super) fn check(tree: toml::Table) -> Result<(), KeyProblem> {
    if let Some(key) = list_for_table(&tree, &example(), &ConfigKey::default()) {
        return Err(KeyProblem { key, message: "expected a table, found a list".to_owned() });
    }
    serde_path_to_error::deserialize::<_, Settings>(tree).map(drop).map_err(|error| {
        let key = ConfigKey::from(error.path());
        let message = match renamed::new_name(&key) {
            Some(new) => format!("this setting is now called `{new}`"),
            None => explained(error.inner().message()),
        };
        KeyProblem { key, message }
    })
}

/// Everything in a tree that cannot be read: what is wrong is taken out, and the rest is read again.
pub(super) fn problems(mut tree: toml::Table) -> Vec<KeyProblem> {
    let mut problems = Vec::new();
    while problems.len() < MOST_FAULTS
        && let Err(fault) = check(tree.clone())
    {
        let removed = fault.key.remove_from(&mut tree);
        problems.push(fault);
        if !removed {
            break;
        }
    }
    problems
}

/// All settings at their defaults.
pub(super) fn defaults() -> toml::Table {
    toml::Table::try_from(Settings::default()).expect("the default settings can be written as TOML")
}

/// The same, with one caller: there is none by default.
fn example() -> toml::Table {
    let callers = BTreeMap::from([("example".to_owned(), CallerSettings::default())]);
    let settings = Settings { callers, ..Settings::default() };
    toml::Table::try_from(settings).expect("the default settings can be written as TOML")
}

/// A list where a table belongs: serde would take it for the table's values in their order.
fn list_for_table(tree: &toml::Table, like: &toml::Table, at: &ConfigKey) -> Option<ConfigKey> {
    let like_of = |name: &str| {
        if at.names() == ["apps"] || at.names() == ["callers"] { like.values().next() } else { like.get(name) }
    };
    tree.iter().find_map(|(name, value)| {
        let key = ConfigKey::new(at.names().iter().chain([name]));
        match (value, like_of(name)?) {
            (toml::Value::Array(_), toml::Value::Table(_)) => Some(key),
            (toml::Value::Table(inner), toml::Value::Table(like)) => list_for_table(inner, like, &key),
            _ => None,
        }
    })
}

/// serde's message in the words of a configuration file.
fn explained(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        return unknown_setting(quoted.next().unwrap_or_default(), &quoted.collect::<Vec<_>>());
    }
    if message.starts_with("unknown variant") {
        return unknown_word(quoted.next().unwrap_or_default(), quoted);
    }
    let Some((found, kind)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    match found.strip_prefix("invalid type: ").or_else(|| found.strip_prefix("invalid value: ")) {
        Some(found) => format!("expected {}, found {}", expected_in_words(kind), found_in_words(found)),
        None => message.to_owned(),
    }
}

fn unknown_setting(unknown: &str, accepted: &[&str]) -> String {
    let closeness = |name: &&str| strsim::jaro_winkler(unknown, name);
    let nearest = accepted.iter().copied().max_by(|a, b| closeness(a).total_cmp(&closeness(b)));
    let hint = match nearest.filter(|name| closeness(name) > 0.8) {
        Some(name) => format!("did you mean `{name}`? "),
        None => String::new(),
    };
    format!("there is no such setting; {hint}accepted here: {}", accepted.join(", "))
}

/// Of spellings that differ in their capitals alone the first is named.
fn unknown_word<'m>(unknown: &str, accepted: impl Iterator<Item = &'m str>) -> String {
    let mut words = Vec::<&str>::new();
    for word in accepted {
        if !words.iter().any(|other| other.eq_ignore_ascii_case(word)) {
            words.push(word);
        }
    }
    let words = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    format!("{unknown:?} is none of {words}")
}

/// A text itself stays out of the message: it may be a secret in the wrong place.
fn found_in_words(found: &str) -> &str {
    match found {
        "sequence" => "a list",
        "map" => "a table",
        _ if found.starts_with("string ") => "a text",
        _ => found.split('`').nth(1).unwrap_or(found),
    }
}

fn expected_in_words(kind: &str) -> &str {
    match kind {
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        "a map" => "a table",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "i64" => "a whole number",
        _ if kind.starts_with("struct ") => "a table",
        _ if kind.starts_with("a nonzero ") => "a whole number from 1",
        _ => kind,
    }
}

const MOST_FAULTS: usize = 32;
