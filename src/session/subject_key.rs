//! The subject key: where the entries of an app's sessions have the subject.
//!
//! Frameworks keep the user's id in an entry of its own, such as `_auth_user_id`, or inside one, such as `passport.user`.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

use super::changes::{Changes, SubjectChange};
use super::entries::Entries;
use super::subject::{Subject, SubjectError};
use super::value::ValueKind;

/// The name of the entry that has the subject, or the path to the subject inside of an entry.
///
/// A path is the name of the entry, and then the names of members and the numbers of elements, with dots between them.
/// A name may have dots itself: of the entries that a save changes, the one with the longest name counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectKey(Box<str>);

impl SubjectKey {
    /// Makes a subject key of its text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The key as it is configured.
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// The change of the subject that changes of entries make.
    pub(super) fn subject_change(&self, changes: &Changes) -> Result<SubjectChange, SubjectError> {
        for (entry, path) in self.readings() {
            if changes.increment.contains_key(entry) {
                return Err(SubjectError);
            }
            if let Some(value) = changes.set.get(entry) {
                let subject = subject_at(value.stored(), path)?;
                return Ok(subject.map_or(SubjectChange::Remove, SubjectChange::Set));
            }
            if changes.unset.iter().any(|name| name == entry) {
                return Ok(SubjectChange::Remove);
            }
        }
        Ok(SubjectChange::Keep)
    }

    /// Whether changes of entries may change the subject.
    pub fn is_in(&self, changes: &Changes) -> bool {
        let is_changed =
            |entry: &str| changes.set.contains_key(entry) || changes.unset.iter().any(|name| name == entry);
        self.readings().any(|(entry, _)| is_changed(entry))
    }

    /// The subject in the entries of a session. With a value that is no valid subject the session is anonymous.
    pub fn subject_of(&self, entries: &Entries) -> Option<Subject> {
        let find = |entry| Some(entries.iter().find(|(name, _)| *name == entry)?.1);
        let (stored, path) = self.readings().find_map(|(entry, path)| Some((find(entry)?, path)))?;
        subject_at(stored, path).ok().flatten()
    }

    /// The ways to read the key as the name of an entry and a path inside of it, the longest name first.
    fn readings(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let splits = self.0.rmatch_indices('.').map(|(dot, _)| (&self.0[..dot], Some(&self.0[dot + 1..])));
        std::iter::once((&*self.0, None)).chain(splits).filter(|(entry, _)| !entry.is_empty())
    }
}

/// Reads a stored value as a subject: a string as it is, an integer as its digits; `None` for null and for "".
pub fn subject_of(stored: &[u8]) -> Result<Option<Subject>, SubjectError> {
    subject_at(stored, None)
}

/// Reads the subject at a path in a stored value: a string as it is, an integer as its digits.
///
/// Without a subject there: null, "", or an object or array that does not have the path.
fn subject_at(stored: &[u8], path: Option<&str>) -> Result<Option<Subject>, SubjectError> {
    let Some(ValueKind::Json(text)) = ValueKind::decode(stored) else { return Err(SubjectError) };
    let mut json = text.trim_ascii();
    for name in path.into_iter().flat_map(|path| path.split('.')) {
        match find_child(json, name) {
            Some(child) => json = child,
            None => return Ok(None),
        }
    }
    let subject = match json.as_bytes() {
        b"null" => return Ok(None),
        b"-0" => Cow::Borrowed("0"),
        [b'"', ..] => serde_json::from_str(json).map_err(|_| SubjectError)?,
        [b'-' | b'0'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => Cow::Borrowed(json),
        _ => return Err(SubjectError),
    };
    if subject.is_empty() { Ok(None) } else { Subject::parse(&subject).map(Some) }
}

/// Finds the JSON text of an object's member with this name, or of an array's element with this number.
///
/// The others are skipped and not read. A text that was cut inside of an emoji is JSON, but no Rust string; and no number
/// is too large.
pub fn find_child<'j>(json: &'j str, name: &str) -> Option<&'j str> {
    let child = match json.trim_ascii_start().as_bytes().first()? {
        b'{' => serde_json::from_str::<BTreeMap<MemberName, &RawValue>>(json).ok()?.remove(name.as_bytes()),
        b'[' => serde_json::from_str::<Vec<&RawValue>>(json).ok()?.get(name.parse::<usize>().ok()?).copied(),
        _ => None,
    };
    child.map(RawValue::get)
}

/// The name of a member, as bytes: it may have a lone surrogate.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct MemberName(Vec<u8>);

impl Borrow<[u8]> for MemberName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for MemberName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = MemberName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<MemberName, E> {
                Ok(MemberName(name.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Value;

    #[test]
    fn a_path_finds_the_subject_inside_of_an_entry() {
        let subject = |key: &str, entry: &str, json: &str| {
            let set = [(entry.to_owned(), Value::json(json.to_owned()).unwrap())].into();
            let change = SubjectKey::new(key).subject_change(&Changes { set, ..Changes::default() });
            change.map(|change| match change {
                SubjectChange::Keep => "keeps".to_owned(),
                SubjectChange::Remove => "removes".to_owned(),
                SubjectChange::Set(subject) => subject.as_str().to_owned(),
            })
        };

        let found = [
            ("_auth_user_id", "_auth_user_id", r#""7""#, "7"),
            ("passport.user", "passport", r#"{"user":"ann"}"#, "ann"),
            ("passport.user", "passport", r#"{"user":12345678901234567890}"#, "12345678901234567890"),
            (
                "passport.user",
                "passport",
                r#"{"user":123456789012345678901234567890}"#,
                "123456789012345678901234567890",
            ),
            ("passport.user", "passport", r#"{"user":-0}"#, "0"),
            ("passport.user", "passport", r#"{"user":-7}"#, "-7"),
            ("passport.user", "passport", r#"{"user":"ann","bio":"\ud83d","\udc00":1e400}"#, "ann"),
            ("passport.user", "passport", r#" { "user" : "ann" } "#, "ann"),
            ("passport.user", "passport", r#"{"user":"ann","user":"bob"}"#, "bob"),
            ("passport.us\u{e9}r", "passport", r#"{"us\u00e9r":"ann"}"#, "ann"),
            ("passport.user", "passport", "{}", "removes"),
            ("passport.user", "passport", r#"{"user":null}"#, "removes"),
            ("passport.user", "passport", "null", "removes"),
            ("passport.user", "passport", r#""user""#, "removes"),
            ("passport.user", "passport.user", r#""ann""#, "ann"),
            ("passport.user", "user", r#""ann""#, "keeps"),
            ("passport.user", "pass", r#"{"user":"ann"}"#, "keeps"),
            ("flash.user.id", "flash", r#"{"user":{"id":"ann","name":"Ann"}}"#, "ann"),
            ("flash.user.id", "flash.user", r#"{"id":"ann"}"#, "ann"),
            ("warden.user.user.key.0.0", "warden.user.user.key", r#"[[9],"salt"]"#, "9"),
            ("warden.user.user.key.0.1", "warden.user.user.key", r#"[[9],"salt"]"#, "removes"),
        ];
        for (key, entry, json, expected) in found {
            assert_eq!(subject(key, entry, json).as_deref(), Ok(expected), "{key} in {entry} = {json}");
        }
        for json in [
            r#"{"user":{"id":1}}"#,
            r#"{"user":[]}"#,
            r#"{"user":true}"#,
            r#"{"user":1.5}"#,
            r#"{"user":1e3}"#,
            r#"{"user":"\ud83d"}"#,
        ] {
            assert!(subject("passport.user", "passport", json).is_err(), "{json}");
        }
    }
}
