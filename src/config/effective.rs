//! Writes the whole configuration as TOML, each value with its source. Leaves out secrets.

use std::fmt::{self, Write as _};

use super::default_key::{self, KeySource};
use super::{ConfigKey, LoadedConfig, Source};
use crate::types::AppName;
use crate::types::secret::HIDDEN;

impl LoadedConfig {
    /// Returns the text that `cloakroom check` prints.
    pub fn effective(&self) -> String {
        let mut text = String::new();
        self.write_table(&mut text, &self.tree(), &ConfigKey::default())
            .expect("a String takes all that is written to it");
        text
    }

    /// Whether the configuration file itself holds a secret: a key, or an address with a password.
    pub fn has_secrets_in_file(&self) -> bool {
        self.values().iter().any(|(key, value)| {
            // A token cannot be guessed from its hash.
            key.name() != "token_hashes" && is_secret(value) && matches!(self.source_of(key), Source::File { .. })
        })
    }

    /// Returns all settings as tables in tables.
    fn tree(&self) -> toml::Table {
        toml::Table::try_from(&self.settings).expect("settings can be written as TOML")
    }

    /// Returns the values of all settings.
    pub(super) fn values(&self) -> Vec<(ConfigKey, toml::Value)> {
        let mut values = Vec::new();
        collect(&mut values, self.tree(), &ConfigKey::default());
        values
    }

    /// Writes the values of a table, then the tables in it: the order that TOML needs.
    fn write_table(&self, text: &mut String, table: &toml::Table, at: &ConfigKey) -> fmt::Result {
        let values = || table.iter().filter(|(_, value)| !value.is_table());
        if values().next().is_some() {
            let gap = if text.is_empty() { "" } else { "\n" };
            writeln!(text, "{gap}[{at}]")?;
        }
        for (name, value) in values() {
            let key = at.child(name);
            match key.names() {
                [apps, app, keys] if apps == "apps" && keys == "keys" => self.write_keys(text, app, &key)?,
                _ => writeln!(text, "{name} = {}  # {}", masked(value), self.source_of(&key))?,
            }
        }
        for (name, value) in table {
            if let Some(inner) = value.as_table() {
                self.write_table(text, inner, &at.child(name))?;
            }
        }
        Ok(())
    }

    /// Writes keys by their public names, or what an app without a key does.
    fn write_keys(&self, text: &mut String, app: &str, key: &ConfigKey) -> fmt::Result {
        let ids = self.apps.find(app).map(|app| app.key_ids()).unwrap_or_default();
        if ids.is_empty() {
            return writeln!(text, "keys = []  # {}: {}", self.source_of(key), self.without_keys(app));
        }
        let ids = ids.iter().map(|id| format!("\"key id {id}\"")).collect::<Vec<_>>().join(", ");
        match self.settings.apps.get(app).and_then(|app| app.keys_file.as_ref()) {
            Some(path) => writeln!(text, "keys = [{ids}]  # {}", path.display()),
            None => writeln!(text, "keys = [{ids}]  # {}", self.source_of(key)),
        }
    }

    fn without_keys(&self, app: &str) -> String {
        let source = (app == AppName::DEFAULT).then(|| self.default_key_source(&self.settings.store));
        match source {
            Some(KeySource::Folder(folder)) => {
                let path = default_key::path_in(folder);
                format!("the first start makes a key and keeps it in {}", path.display())
            }
            Some(KeySource::Process) => "every start makes a key of its own".to_owned(),
            Some(KeySource::Configuration | KeySource::None) | None => {
                "without a key the app has only null sessions".to_owned()
            }
        }
    }
}

fn collect(values: &mut Vec<(ConfigKey, toml::Value)>, table: toml::Table, at: &ConfigKey) {
    for (name, value) in table {
        let key = at.child(&name);
        match value {
            toml::Value::Table(inner) => collect(values, inner, &key),
            value => values.push((key, value)),
        }
    }
}

/// Whether a value is or has something that is never shown.
fn is_secret(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => text == HIDDEN || masked_address(text) != *text,
        toml::Value::Array(items) => items.iter().any(is_secret),
        _ => false,
    }
}

/// Writes a value as TOML. Hides the password of an address.
fn masked(value: &toml::Value) -> String {
    masked_value(value).to_string()
}

fn masked_value(value: &toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) => toml::Value::String(masked_address(text)),
        toml::Value::Array(items) => toml::Value::Array(items.iter().map(masked_value).collect()),
        other => other.clone(),
    }
}

/// Returns `redis://user:word@host` as `redis://user:***@host`, and any other text as it is.
fn masked_address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // Up to the last @: a password that is not percent-encoded may contain @ and /.
    let host = rest.rfind('@').filter(|at| *at < end || rest[..*at].contains(':'));
    let hidden = |at: usize| match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{HIDDEN}{}", &rest[at..]),
        None => text.to_owned(),
    };
    hide_parameters(&host.map_or_else(|| text.to_owned(), hidden))
}

/// Returns `?pass=word` as `?pass=***`: the address of a Unix socket has its password there.
fn hide_parameters(text: &str) -> String {
    let Some((address, query)) = text.split_once('?') else { return text.to_owned() };
    let hide = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    };
    format!("{address}?{}", query.split('&').map(hide).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_an_address_is_never_shown() {
        let table = [
            ("redis://10.0.0.1:6379/2", "redis://10.0.0.1:6379/2"),
            ("redis://ada:word@host:6379", "redis://ada:***@host:6379"),
            ("rediss://:word@host", "rediss://:***@host"),
            ("redis://:w@rd/w@host", "redis://:***@host"),
            ("redis://:w?rd@host", "redis://:***@host"),
            ("redis+unix:///run/redis.sock?db=1&pass=word", "redis+unix:///run/redis.sock?db=1&pass=***"),
            ("plain text", "plain text"),
        ];

        for (address, shown) in table {
            assert_eq!(masked_address(address), shown);
        }
    }
}
