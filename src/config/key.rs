//! Where a setting stands in the tree: `store.kind`, `apps.shop.cookie.name`.

use std::fmt;

use serde_path_to_error::{Path, Segment};

/// The names that lead to a setting, from the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigKey(Vec<String>);

impl ConfigKey {
    /// A key of these names.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The names, from the root.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The key below this one; dots in `rest` lead further down.
    #[must_use]
    pub fn join(&self, rest: &str) -> Self {
        let mut names = self.0.clone();
        names.extend(rest.split('.').filter(|name| !name.is_empty()).map(str::to_owned));
        Self(names)
    }

    /// A tree in which only this key is set.
    pub fn tree(&self, value: toml::Value) -> toml::Table {
        let wrap = |inner, name: &String| toml::Value::Table(toml::Table::from_iter([(name.clone(), inner)]));
        match self.0.iter().rev().fold(value, wrap) {
            toml::Value::Table(tree) => tree,
            _ => toml::Table::new(),
        }
    }

    /// Takes the key out of a tree; answers whether it was there.
    pub fn remove_from(&self, tree: &mut toml::Table) -> bool {
        let Some((last, above)) = self.0.split_last() else { return false };
        let parent = above.iter().try_fold(tree, |table, name| table.get_mut(name)?.as_table_mut());
        parent.is_some_and(|table| table.remove(last).is_some())
    }
}

impl From<&Path> for ConfigKey {
    /// An item of a list has no key of its own: the list's stands for it.
    fn from(path: &Path) -> Self {
        let names = path.iter().map_while(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(names.collect())
    }
}

impl fmt::Display for ConfigKey {
    /// As TOML writes it: a name with unusual characters stands in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            let dot = if n == 0 { "" } else { "." };
            let bare = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
            if bare { write!(f, "{dot}{name}")? } else { write!(f, "{dot}{name:?}")? }
        }
        Ok(())
    }
}
