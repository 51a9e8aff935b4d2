//! Keys of settings: `store.kind`, `apps.shop.cookie.name`.

use std::fmt;

/// The names that lead to a setting or a table, from the root of the configuration or from a table in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConfigKey(Vec<String>);

impl ConfigKey {
    /// A key of these names. A dot in a name is part of the name.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The names, outermost first.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The innermost name; empty for the table of all settings.
    pub fn name(&self) -> &str {
        self.0.last().map(String::as_str).unwrap_or_default()
    }

    /// The key of `name` in this table. A dot is part of the name.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self::new(self.0.iter().map(String::as_str).chain([name]))
    }

    /// The key that is `below` in this table.
    #[must_use]
    pub fn join(&self, below: impl Into<Self>) -> Self {
        Self::new(self.0.iter().chain(&below.into().0))
    }
}

impl From<&str> for ConfigKey {
    /// Dots separate the names.
    fn from(text: &str) -> Self {
        Self::new(text.split('.').filter(|name| !name.is_empty()))
    }
}

impl fmt::Display for ConfigKey {
    /// Writes the key as TOML does: a name with unusual characters is in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            let dot = if n == 0 { "" } else { "." };
            let bare = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
            if bare { write!(f, "{dot}{name}")? } else { write!(f, "{dot}{name:?}")? }
        }
        Ok(())
    }
}
