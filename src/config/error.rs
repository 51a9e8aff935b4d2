//! What is wrong with a configuration: where it stands, which setting, and what would be right.

use std::fmt;
use std::path::PathBuf;

use super::ConfigKey;

/// Everything that is wrong with a configuration. Never empty.
#[derive(Debug)]
pub struct Error(Vec<Problem>);

impl Error {
    /// The problems found, if there are any.
    pub fn unless_none(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// One a line, as [`fmt::Display`] writes them.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(n, problem)| {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")
        })
    }
}

impl std::error::Error for Error {}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value comes from.
    pub source: Source,
    /// The setting; empty when it is about the source as a whole.
    pub key: ConfigKey,
    /// What is wrong and what would be right. Never repeats a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, key, message } = self;
        if key.names().is_empty() { write!(f, "{source}: {message}") } else { write!(f, "{source}: {key}: {message}") }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody has set it.
    Default,
    /// A file.
    File {
        /// Its path, as it was given.
        path: PathBuf,
        /// The line, counted from 1, if it is known.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}
