//! The place of the subject in the entries of an imported session.

use crate::session::{Entries, find_child};
use crate::types::SettingError;

/// The name of an entry, then those of members of objects or the numbers of elements, such as `passport.user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPath {
    entry: Box<str>,
    members: Box<[Box<str>]>,
}

impl SubjectPath {
    /// Reads names with dots between them. `None` for an empty text.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, SettingError> {
        if text.is_empty() {
            return Ok(None);
        }
        let mut names = text.split('.').map(Box::<str>::from);
        let path = names.next().map(|entry| Self { entry, members: names.collect() });
        let has_empty_name = text.split('.').any(str::is_empty);
        path.filter(|_| !has_empty_name).map(Some).ok_or_else(|| SettingError::new("subject_path", EMPTY_NAME))
    }

    /// Finds the JSON text there; `None` if there is nothing.
    pub fn find<'e>(&self, entries: &'e Entries) -> Option<&'e str> {
        let (_, stored) = entries.iter().find(|(name, _)| *name == &*self.entry)?;
        let mut json = std::str::from_utf8(stored).ok()?;
        for name in &self.members {
            json = find_child(json, name)?;
        }
        Some(json)
    }
}

const EMPTY_NAME: &str =
    "a name in it is empty; write a name, or names with dots between them, such as \"passport.user\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_member_of_an_entry() {
        let stored: [(&str, &[u8]); 2] = [("passport", br#"{"user":"anna","more":{"id":7}}"#), ("user", b"1")];
        let entries = Entries::pack(stored);
        let table = [
            ("user", Some("1")),
            ("passport.user", Some("\"anna\"")),
            ("passport.more.id", Some("7")),
            ("passport.missing", None),
            ("user.id", None),
            ("missing", None),
        ];

        for (path, json) in table {
            assert_eq!(SubjectPath::parse(path).unwrap().unwrap().find(&entries), json, "{path}");
        }
        assert_eq!(SubjectPath::parse("").unwrap(), None);
        for path in [".", "a.", ".a", "a..b"] {
            assert!(SubjectPath::parse(path).is_err(), "{path}");
        }
    }
}
