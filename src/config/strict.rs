//! Checks one source by itself, without any conversion of values.
//!
//! The crate `config` reads `1.7` as 2, `true` as 1 and `5` as "5"; serde on a TOML tree does not. Therefore each
//! source is read here first, and `config` only merges sources that are known to be right.

use std::collections::BTreeMap;

use serde_path_to_error::{Path, Segment};

use super::{ConfigKey, Settings, renamed};
use crate::auth::CallerSettings;
use crate::store;
use crate::types::SettingError;

/// Checks that a tree can be read as settings.
pub(super) fn check(tree: toml::Table) -> Result<(), SettingError> {
    if let Some(key) = list_for_table(&tree, &example(), &ConfigKey::default()) {
        return Err(SettingError::new(key, "expected a table, found a list"));
    }
    serde_path_to_error::deserialize::<_, Settings>(tree).map(drop).map_err(|error| {
        let key = config_key(error.path());
        let message = match renamed::new_name(&key) {
            Some(new) => format!("this setting is now called `{new}`"),
            None => explain(error.inner().message()),
        };
        SettingError::new(key, message)
    })
}

/// Returns all errors in a tree: what is wrong is removed from it, and the rest is checked again.
pub(super) fn errors(tree: &mut toml::Table) -> Vec<SettingError> {
    let mut errors = Vec::new();
    while errors.len() < MAX_ERRORS
        && let Err(error) = check(tree.clone())
    {
        let removed = remove(tree, &error.key);
        errors.push(error);
        if !removed {
            break;
        }
    }
    errors
}

/// Removes a setting from a tree, and returns whether it was there.
fn remove(tree: &mut toml::Table, key: &ConfigKey) -> bool {
    let Some((last, above)) = key.names().split_last() else { return false };
    let table = above.iter().try_fold(tree, |table, name| table.get_mut(name)?.as_table_mut());
    table.is_some_and(|table| table.remove(last).is_some())
}

/// Returns the key at a path. An item of a list has no key of its own: it has the key of the list.
fn config_key(path: &Path) -> ConfigKey {
    ConfigKey::new(path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(key),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    }))
}

/// The settings and tables in the table of a key.
#[derive(Debug)]
pub(super) enum Children {
    /// The key is a setting, and no table.
    None,
    /// Settings and tables with these names.
    Names(Vec<String>),
    /// Tables with names that the operator chooses, as apps have.
    AnyName,
}

/// Returns what the table of a key may have, also if it is not set by default. serde says it of a name that nothing has.
pub(super) fn children(key: &ConfigKey) -> Children {
    let tree = tree(&key.child("?"), toml::Value::Boolean(true));
    let Err(error) = serde_path_to_error::deserialize::<_, Settings>(tree) else { return Children::AnyName };
    let message = error.inner().message();
    if message.starts_with("unknown field") {
        return Children::Names(message.split('`').skip(3).step_by(2).map(str::to_owned).collect());
    }
    if config_key(error.path()).names().len() > key.names().len() { Children::AnyName } else { Children::None }
}

/// Returns a tree in which only this setting is set.
pub(super) fn tree(key: &ConfigKey, value: toml::Value) -> toml::Table {
    let wrap = |inner, name: &String| toml::Value::Table(toml::Table::from_iter([(name.clone(), inner)]));
    match key.names().iter().rev().fold(value, wrap) {
        toml::Value::Table(tree) => tree,
        _ => toml::Table::new(),
    }
}

/// Returns the defaults with one caller and all stores, which there are not by default.
fn example() -> toml::Table {
    let callers = BTreeMap::from([("example".to_owned(), CallerSettings::default())]);
    let side = || Some(store::SideSettings::default());
    let store = store::Settings { next: side(), previous: side(), ..store::Settings::default() };
    let settings = Settings { callers, store, ..Settings::default() };
    toml::Table::try_from(settings).expect("the default settings can be written as TOML")
}

/// Finds a list in the place of a table. serde would read it as the values of the table in their order.
fn list_for_table(tree: &toml::Table, like: &toml::Table, at: &ConfigKey) -> Option<ConfigKey> {
    let like_of = |name: &str| {
        if at.names() == ["apps"] || at.names() == ["callers"] { like.values().next() } else { like.get(name) }
    };
    tree.iter().find_map(|(name, value)| {
        let key = at.child(name);
        match (value, like_of(name)?) {
            (toml::Value::Array(_), toml::Value::Table(_)) => Some(key),
            (toml::Value::Table(inner), toml::Value::Table(like)) => list_for_table(inner, like, &key),
            _ => None,
        }
    })
}

/// Rewrites serde's message in the words of a configuration file.
fn explain(message: &str) -> String {
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

/// Names each accepted word once, where spellings differ only in capitals.
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

/// Leaves a text itself out of the message, because it may be a secret in the wrong place.
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
        "f64" => "a number",
        _ if kind.starts_with("struct ") => "a table",
        _ if kind.starts_with("a nonzero ") => "a whole number from 1",
        _ => kind,
    }
}

/// Each error costs one more reading of the tree.
const MAX_ERRORS: usize = 32;
