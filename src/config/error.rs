//! The errors of a configuration: in which source, which setting, and what would be right.

use std::fmt;
use std::path::PathBuf;

use super::ConfigKey;

/// Everything that is wrong with a configuration. Never empty.
#[derive(Debug)]
pub struct Error(Vec<Problem>);

impl Error {
    /// Fails with these problems, if there are any.
    pub fn unless_none(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// These problems, at least one.
    pub(super) const fn of(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.0
    }

    /// Returns the problems. [`fmt::Display`] writes one on each line.
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

/// A setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The source to correct.
    pub source: Source,
    /// The setting. Empty: the source as a whole.
    pub key: ConfigKey,
    /// The error, and what would be right. Never repeats a secret.
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
    /// It is not set and has its default.
    Default,
    /// A configuration file.
    File {
        /// The path as it was given.
        path: PathBuf,
        /// The line, counted from 1. `None`: it is not known.
        line: Option<usize>,
    },
    /// The variable of the environment with this name.
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
