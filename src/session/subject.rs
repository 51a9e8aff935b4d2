//! The subject: the user that a session belongs to.

use std::fmt;

/// The user that a session belongs to: 1 to 256 bytes of text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Box<str>);

impl Subject {
    /// Checks a subject.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        if (1..=256).contains(&text.len()) { Ok(Self(text.into())) } else { Err(SubjectError) }
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// The text is not a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject is a string or an integer of 1 to 256 bytes")]
pub struct SubjectError;
