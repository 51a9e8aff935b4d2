//! Findings: what was looked at, what was found, and what to do.

use anstyle::Style;
use serde::Serialize;

use crate::cli::CliError;
use crate::cli::layout::{padded, wrapped};
use crate::cli::sessions::text::printable;
use crate::cli::style::{BAD, GOOD, WARNING, styled};
use crate::types::with_causes;

/// The finding at one place.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// The place that was looked at.
    check: String,
    pub(super) verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// How good it is. A later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// The service works, and something may be wrong, or will be soon.
    Warning,
    /// The service does not work, or is not safe.
    Failed,
}

impl Finding {
    pub(super) fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.to_owned(), verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    pub(super) fn warning(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, advice: Some(advice.into()), ..Self::ok(check, found) }
    }

    pub(super) fn failed(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, advice: Some(advice.into()), ..Self::ok(check, found) }
    }

    /// Says at which of several places it was found.
    pub(super) fn at(mut self, place: &str) -> Self {
        self.check = format!("{} at {place}", self.check);
        self
    }

    /// Says at which node of a cluster it was found.
    pub(super) fn at_node(self, node: Option<&String>) -> Self {
        match node {
            Some(node) => self.at(node),
            None => self,
        }
    }

    /// Says of which store it is, unless that is the one of the table `[store]` itself.
    pub(super) fn of_store(self, table: &str) -> Self {
        if table == "store" { self } else { self.at(&format!("[{table}]")) }
    }

    /// Writes it for people: a line, and if there is something to do a second one. On a terminal they are broken at spaces.
    pub(super) fn text(&self, columns: Option<usize>) -> String {
        let Self { check, verdict, found, advice } = self;
        let columns = columns.unwrap_or(usize::MAX);
        let begin = padded(&styled(verdict.style(), verdict.word()), 9);
        let found = wrapped(&begin, &format!("{}: {}", printable(check), printable(found)), columns);
        let advice = advice.as_ref().map(|advice| wrapped("         do: ", &printable(advice), columns));
        found + &advice.unwrap_or_default()
    }
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Ok => GOOD,
            Self::Warning => WARNING,
            Self::Failed => BAD,
        }
    }
}

/// Returns the text of an error and its causes.
pub(super) fn reason(error: &CliError) -> String {
    match error {
        CliError::Config(error) => error.to_string(),
        CliError::Failed(error) => with_causes(error.as_ref()),
        CliError::NegativeAnswer | CliError::LeftOut => "no".to_owned(),
    }
}
